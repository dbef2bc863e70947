package rpc

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jsd-project/jsd/bundles"
	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/rpc/message"
)

// maxUploads bounds the unfinished uploads of one connection.
const maxUploads = 16

// PutResult is the result of runtime.put: the upload if the request had more, else the bundle.
type PutResult struct {
	Upload string `json:"upload,omitempty"`
	Bundle string `json:"bundle,omitempty"`
}

// An upload is a source tree that comes in several requests.
type upload struct {
	tenant string
	tree   bundles.SourceTree
	room   *bundles.Reservation
	failed error // the answer to all further requests; nil: the upload goes on
}

// putBundle stores a source tree as a bundle and returns the result of runtime.put.
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

// uploads holds the unfinished uploads of one connection, by ID. Only the reader uses it.
type uploads map[string]*upload

// add adds the part that one request brings. An upload that exceeds a bound stays, without its parts, until its last request.
// Otherwise a client that does not wait for answers would get a bundle of the remaining parts.
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
	var all, most int64 // most is the largest bound of the tenants with an upload here
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

// drop releases the uploads that the connection did not finish.
func (u uploads) drop() {
	for _, up := range u {
		up.room.Release()
	}
}
