// Package hostname knows the names of remote hosts ([Resolver]), by DNS, and of
// services ([Services]), by a file like /etc/services.
//
// Names are hostile input: whoever runs the other network chooses them. Whoever
// writes them makes them safe.
package hostname
