// Package jsd holds what the daemon carries inside its binary to make the runtime image and to run
// without one.
package jsd

import "embed"

// Runtime holds Dockerfile.runtime and the agent (node-agent/agent/agent.js is its entry), by the names that they
// have in the source tree.
//
//go:embed Dockerfile.runtime
//go:embed node-agent/package.json node-agent/agent/*.js node-agent/shared/*.js node-agent/worker/*.js
var Runtime embed.FS
