package main

import (
	"fmt"
	"runtime/debug"
)

// version is set by the linker; a build without it falls back to what Go noted.
var version = ""

type versionCommand struct{}

func (versionCommand) Run() error {
	fmt.Println("jsd", buildVersion())
	return nil
}

func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
