package rpc

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jsd-project/jsd/bundles"
	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/rpc/message"
)

// maxUploads bounds the source trees that one connection may have in the making.
const maxUploads = 16

// PutResult is what runtime.put answers: the upload while more is to come, then the bundle.
type PutResult struct {
	Upload string `json:"upload,omitempty"`
	Bundle string `json:"bundle,omitempty"`
}

// An upload is a source tree that comes in several requests.
type upload struct {
	tenant string
	tree   bundles.SourceTree
	room   *bundles.Reservation
	failed error // nil, or what all further requests are answered with
}

// putBundle makes a bundle of a source tree.
func putBundle(store *bundles.Store, tenant string, f *bundles.SourceTree) (json.RawMessage, error) {
	if f.Files() == 0 {
		return nil, invalidParams("files must hold a file")
	}
	id, err := store.Put(tenant, f)
	if err != nil {
		return nil, putError(err)
	}
	return message.AppendJSON(nil, PutResult{Bundle: id}), nil
}

func putError(err error) error {
	switch {
	case errors.Is(err, bundles.ErrTooLarge):
		return errBundleLimit
	case errors.Is(err, bundles.ErrTooMany):
		return invalidParams(fmt.Sprintf("files must be at most %d in all", call.MaxFiles))
	default:
		return err
	}
}

// uploads is those of one connection, by ID; its reader's.
type uploads map[string]*upload

// add takes the part of one request. An upload that went over a bound stays, without its parts, until
// its last request, so that a client that did not wait for answers is not given a bundle of the rest.
func (u uploads) add(store *bundles.Store, id, tenant string, files *message.Files, more bool) (json.RawMessage, error) {
	up := u[id]
	if up == nil {
		if len(u) >= maxUploads {
			return nil, errBundleLimit
		}
		up = &upload{tenant: tenant, room: store.Reserve(tenant)}
		u[id] = up
	}
	if up.tenant != tenant {
		return nil, invalidParams("tenant must be the one that the upload began with")
	}
	if up.failed == nil {
		up.failed = u.grow(store, up, files)
	}
	if up.failed != nil {
		up.tree = bundles.SourceTree{}
		up.room.Release()
	}
	if more {
		return message.AppendJSON(nil, PutResult{Upload: id}), up.failed
	}
	defer up.room.Release()
	delete(u, id)
	if up.failed != nil {
		return nil, up.failed
	}
	return putBundle(store, tenant, &up.tree)
}

func (u uploads) grow(store *bundles.Store, up *upload, files *message.Files) error {
	if err := up.tree.Add(files.JSON, files.Sources); err != nil {
		return putError(err)
	}
	var all, most int64 // of the tenants with an upload here, the one that may have most counts
	for _, other := range u {
		all += other.tree.Size()
		most = max(most, store.Limit(other.tenant))
	}
	if all > most {
		return errBundleLimit
	}
	if err := up.room.Grow(up.tree.Size()); err != nil {
		return putError(err)
	}
	return nil
}

// drop gives up what the connection did not finish.
func (u uploads) drop() {
	for _, up := range u {
		up.room.Release()
	}
}
