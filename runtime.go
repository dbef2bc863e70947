// Package jsd holds what the daemon carries inside its binary to make the runtime image and to run
// without one.
package jsd

import "embed"

// Runtime holds Dockerfile.runtime, the agent (node-agent/agent/agent.js is its entry) and
// scripts/base-image. It has the names these have in the source tree.
//
//go:embed Dockerfile.runtime scripts/base-image
//go:embed node-agent/package.json node-agent/agent/*.js node-agent/shared/*.js node-agent/worker/*.js
var Runtime embed.FS
