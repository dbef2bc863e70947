// Package jsd holds what the daemon carries inside its binary to make the runtime image and to run
// without one.
package jsd

import "embed"

// Runtime holds Dockerfile.runtime, the agent (node-agent/agent.js is its entry) and
// scripts/base-image. It has the names these have in the source tree.
//
//go:embed Dockerfile.runtime node-agent/*.js node-agent/package.json scripts/base-image
var Runtime embed.FS
