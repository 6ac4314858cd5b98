// Package footprint keeps a command small beside the work of its host: it sets
// the pace of the garbage collector ([ShortLived], [LongLived]) and lets others
// have the processor first ([GiveWay]).
package footprint
