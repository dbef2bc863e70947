package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/daemon"
)

// readFolder gives the files of a folder by path, and the entry among them. What stays behind is said
// to notes, but for names that begin with a dot, which are nobody's modules. Nothing outside the
// folder is read, whatever changes in it meanwhile.
func readFolder(folder, entry string, notes io.Writer) (files map[string]string, file string, err error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, "", fmt.Errorf("--folder: %w", err)
	}
	defer root.Close()
	r := folderReader{from: root.FS(), files: map[string]string{}, left: leftOut{}}
	if err := fs.WalkDir(r.from, ".", r.visit); err != nil {
		return nil, "", fmt.Errorf("--folder %s: %w", folder, err)
	}
	file = path.Clean(filepath.ToSlash(entry))
	if _, there := r.files[file]; !there {
		return nil, "", r.missing(folder, file)
	}
	r.left.print(notes, folder)
	return r.files, file, nil
}

type folderReader struct {
	from  fs.FS
	files map[string]string
	size  int // bytes of them
	left  leftOut
}

func (r *folderReader) visit(name string, entry fs.DirEntry, err error) error {
	switch {
	case err != nil:
		return err
	case name == ".":
		return nil
	case strings.HasPrefix(entry.Name(), "."):
		return skip(entry)
	case entry.Type()&fs.ModeSymlink != 0:
		r.leave("symbolic link", name)
		return nil
	case entry.Name() == "node_modules":
		r.leave("node_modules", name)
		return skip(entry)
	case entry.IsDir():
		return nil
	case !entry.Type().IsRegular():
		r.leave("not a regular file", name)
		return nil
	}
	return r.read(name)
}

func skip(entry fs.DirEntry) error {
	if entry.IsDir() {
		return fs.SkipDir
	}
	return nil
}

func (r *folderReader) leave(why, name string) { r.left[why] = append(r.left[why], name) }

func (r *folderReader) read(name string) error {
	file, err := r.from.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := textOf(name, file)
	if errors.Is(err, errNotText) {
		r.leave("not UTF-8 text", name)
		return nil
	}
	if err != nil {
		return err
	}
	r.files[name] = text
	if r.size += len(text); r.size > daemon.MaxFrame {
		return errTooMuch
	}
	if len(r.files) > call.MaxFiles {
		return fmt.Errorf("more than %d files", call.MaxFiles)
	}
	return nil
}

// missing says why an entry is not among the files.
func (r *folderReader) missing(folder, file string) error {
	for why, names := range r.left {
		for _, name := range names {
			if name == file || strings.HasPrefix(file, name+"/") {
				return fmt.Errorf("%s: left out of %s, since %s is: %s", file, folder, name, why)
			}
		}
	}
	return fmt.Errorf("%s: not in the folder %s; FILE is relative to --folder", file, folder)
}
