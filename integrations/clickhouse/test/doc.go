// Package test shows the agent's export and the fleet against a real ClickHouse. The
// build tag fleet has its tests, which scripts/test-fleet runs.
package test
