package main

import (
	"testing"

	"github.com/jsd-project/jsd/jsdtest"
)

func TestMain(m *testing.M) { jsdtest.Main(m, 4) }

type (
	callback = jsdtest.Callback
	reply    = jsdtest.Reply
	script   = jsdtest.Script
)

var (
	eventually = jsdtest.Eventually
	folder     = jsdtest.Folder
	list       = jsdtest.List
	start      = jsdtest.Start
	write      = jsdtest.Write
)
