package daemon_test

import (
	"testing"

	"github.com/jsd-project/jsd/jsdtest"
)

func TestMain(m *testing.M) { jsdtest.Main(m, 6) }

type (
	callback = jsdtest.Callback
	client   = jsdtest.Client
	journal  = jsdtest.Journal
	reply    = jsdtest.Reply
	script   = jsdtest.Script
)

var (
	called         = jsdtest.Called
	dial           = jsdtest.Dial
	eventually     = jsdtest.Eventually
	everywhere     = jsdtest.Everywhere
	everywhereWith = jsdtest.EverywhereWith
	f              = jsdtest.F
	folder         = jsdtest.Folder
	list           = jsdtest.List
	settings       = jsdtest.Settings
	start          = jsdtest.Start
	tenantsFile    = jsdtest.TenantsFile
	with           = jsdtest.With
	write          = jsdtest.Write
)
