// Package fleet answers for many hosts, from the ClickHouse into which their agents
// write.
package fleet
