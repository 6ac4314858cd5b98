// Package folder checks that nobody else can exchange a folder or a file of a privileged
// process, and locks a folder for its writer.
package folder
