package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/jsd-project/jsd/daemon"
)

// execParams are the params of runtime.execute.
type execParams struct {
	Code     *string           `json:"code,omitempty"`
	Files    map[string]string `json:"files,omitempty"`
	File     string            `json:"file,omitempty"`
	Language string            `json:"language,omitempty"`
	Globals  json.RawMessage   `json:"globals,omitempty"`
	Call     *string           `json:"call,omitempty"`
	Caller   *string           `json:"caller,omitempty"`
	Args     json.RawMessage   `json:"args,omitempty"`
	Timeout  int64             `json:"timeout,omitempty"` // ms
	Tenant   string            `json:"tenant,omitempty"`
}

// script reads what is to run. Its errors are one line each.
func (c *execCommand) script(s streams) (*execParams, error) {
	p := &execParams{Call: c.Call, Tenant: c.Tenant, Language: c.Language, Timeout: c.Timeout.Milliseconds()}
	if c.Timeout != 0 && c.Timeout < time.Millisecond {
		return nil, errors.New("--timeout has to be 1ms or more")
	}
	var err error
	if p.Args, err = jsonOf("--args", c.Args, '[', "an array"); err != nil {
		return nil, err
	}
	if p.Globals, err = jsonOf("--globals", c.Globals, '{', "an object"); err != nil {
		return nil, err
	}
	if p.Caller, err = callerOf(c.Caller); err != nil {
		return nil, err
	}
	return p, c.source(p, s)
}

// source fills in the code, or the files.
func (c *execCommand) source(p *execParams, s streams) (err error) {
	switch {
	case c.Folder != "" && c.File == "-":
		return errors.New("--folder: the entry is one of the folder's files, not -")
	case c.Folder != "":
		p.Files, p.File, err = readFolder(c.Folder, c.File, s.err)
		return err
	}
	code, err := c.read(s)
	if err != nil {
		return err
	}
	switch filepath.Ext(c.File) {
	case ".mjs", ".cjs", ".mts", ".cts": // the name says how to read it, so it goes along
		p.File = filepath.Base(c.File)
		p.Files = map[string]string{p.File: code}
		return nil
	case ".ts":
		if p.Language == "" {
			p.Language = "typescript"
		}
	}
	p.Code = &code
	return nil
}

func (c *execCommand) read(s streams) (string, error) {
	if c.File != "-" {
		return readText(c.File)
	}
	code, err := textOf("standard input", s.in)
	if err == nil && code == "" && isTerminal(s.in) {
		return "", errors.New("standard input: nothing was typed; name a file, or pipe a script in")
	}
	return code, err
}

func isTerminal(file *os.File) bool {
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}

func readText(name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil {
		return "", err
	} else if info.IsDir() {
		return "", fmt.Errorf("%s: is a folder; name a file of it, and the folder with --folder", name)
	}
	return textOf(name, file)
}

// textOf reads no more than a daemon could take.
func textOf(name string, from io.Reader) (string, error) {
	content, err := io.ReadAll(io.LimitReader(from, daemon.MaxFrame+1))
	switch {
	case err != nil:
		return "", err
	case len(content) > daemon.MaxFrame:
		return "", fmt.Errorf("%s: %w", name, errTooMuch)
	case !utf8.Valid(content):
		return "", fmt.Errorf("%s: %w", name, errNotText)
	}
	return string(content), nil
}

var (
	errTooMuch = fmt.Errorf("more than %d MiB, which no daemon takes", daemon.MaxFrame>>20)
	errNotText = errors.New("not UTF-8 text")
)

// jsonOf is the text of a flag, which has to be JSON that begins so.
func jsonOf(flag string, text *string, first byte, kind string) (json.RawMessage, error) {
	if text == nil {
		return nil, nil
	}
	var value json.RawMessage
	if err := json.Unmarshal([]byte(*text), &value); err != nil {
		return nil, fmt.Errorf("%s: has to be %s as JSON: %w", flag, kind, err)
	}
	if value = bytes.TrimSpace(value); value[0] != first {
		return nil, fmt.Errorf("%s: has to be %s as JSON", flag, kind)
	}
	return value, nil
}

// callerOf reads --caller, a source or @ and the name of a file.
func callerOf(flag *string) (*string, error) {
	if flag == nil {
		return nil, nil
	}
	name, isFile := strings.CutPrefix(*flag, "@")
	if !isFile {
		return flag, nil
	}
	source, err := readText(name)
	if err != nil {
		return nil, fmt.Errorf("--caller: %w", err)
	}
	return &source, nil
}

// leftOut counts, for each reason, what of a folder stays behind.
type leftOut map[string][]string

func (l leftOut) print(w io.Writer, folder string) {
	for _, why := range []string{"symbolic link", "node_modules", "not UTF-8 text", "not a regular file"} {
		names := l[why]
		if len(names) == 0 {
			continue
		}
		slices.Sort(names)
		more := ""
		if rest := len(names) - leftOutNames; rest > 0 {
			names, more = names[:leftOutNames], fmt.Sprintf(" and %d more", rest)
		}
		fmt.Fprintf(w, "jsd: left out of %s (%s): %s%s\n", folder, why, strings.Join(names, ", "), more)
	}
}

const leftOutNames = 5 // that are printed for one reason
