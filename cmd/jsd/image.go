package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/jsd-project/jsd"
	"github.com/jsd-project/jsd/containers/docker"
)

const statusNoBase = 3 // there is no image to build the runtime image on

type imageCommands struct {
	Build imageBuild `cmd:"" help:"Make the runtime image on the Docker engine that answers here."`
}

type imageBuild struct {
	Tag        string `default:"jsd-runtime:latest" help:"What to call it."`
	Base       string `placeholder:"IMAGE" help:"Image with Node 24.8 or newer to build on. Default: the Node image of the registry, or in its place the jsd-base that make image has made."`
	Fresh      bool   `help:"Use nothing of earlier builds, and pull the default base again."`
	IfOutdated bool   `help:"Do nothing if the image is there and its agent is the one of this jsd."`
}

// Help is what stands behind the flags in --help.
func (imageBuild) Help() string {
	return `Exit status:

  0  the image is there
  1  it could not be made
  3  there is no image to build it on: name one with --base, or run make image in jsd's sources`
}

// Run builds the image and prints its name. An error is a *statusError if there is no base.
func (b *imageBuild) Run(ctx context.Context) error {
	build := docker.Build{Tag: b.Tag, Base: b.Base, Fresh: b.Fresh, Files: jsd.Runtime, Progress: os.Stderr}
	var err error
	if b.IfOutdated {
		_, err = docker.EnsureImage(ctx, build)
	} else {
		err = docker.BuildImage(ctx, build)
	}
	if errors.Is(err, docker.ErrNoBase) {
		return &statusError{statusNoBase, err}
	}
	if err != nil {
		return err
	}
	fmt.Println(b.Tag)
	return nil
}
