// Package folder checks that nobody else can exchange what a privileged process keeps
// in a folder, and locks one for its writer.
package folder
