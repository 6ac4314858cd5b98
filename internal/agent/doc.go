// Package agent is what a long-running whose does with the one stream of its
// tracker: it hands the events on to several readers, each at its own pace.
package agent
