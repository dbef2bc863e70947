// Package jsd holds what the daemon carries inside its binary to make the runtime image and to run
// without one.
package jsd

import "embed"

// Runtime holds Dockerfile.runtime and the agent (node-agent/agent.js is its entry), by the names that they
// have in the source tree.
//
//go:embed Dockerfile.runtime node-agent/*.js node-agent/package.json
var Runtime embed.FS
