// Package baseline compares what a host offers and uses with what it offered and
// used before: who listens, and who calls where.
//
// An [Entry] is one of these facts under a key that does not flap. It has no PID, no
// inode and no port that the kernel chose, so a restart, a reboot or an upgrade of a
// program changes none. A [Set] holds the entries of one listing, [Compare] the
// difference of two, a file keeps one for later, and an allow list ([Allow]) excuses
// what is known and meant.
package baseline
