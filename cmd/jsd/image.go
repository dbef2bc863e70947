package main

import (
	"context"
	"fmt"
	"os"

	"github.com/jsd-project/jsd"
	"github.com/jsd-project/jsd/containers/docker"
)

type imageCommands struct {
	Build imageBuild `cmd:"" help:"Make the runtime image on the Docker engine that answers here."`
}

type imageBuild struct {
	Tag   string `default:"jsd-runtime:latest" help:"What to call it."`
	Base  string `placeholder:"IMAGE" help:"Image with Node 24.8 or newer to build on. Default: the registry's Node image, else one made here from Debian's packages and npm's Node."`
	Fresh bool   `help:"Take nothing from earlier builds."`
}

func (b *imageBuild) Run(ctx context.Context) error {
	err := docker.BuildImage(ctx, docker.Build{
		Tag: b.Tag, Base: b.Base, Fresh: b.Fresh, Files: jsd.Runtime, Progress: os.Stderr,
	})
	if err != nil {
		return err
	}
	fmt.Println(b.Tag)
	return nil
}
