// Package hostname knows the names of remote hosts ([Resolver]), by DNS, and of
// services ([Services]), by a file like /etc/services.
//
// Names are hostile input: the owner of the other network chooses them. Writers
// make them safe.
package hostname
