// Package ask asks an agent: it makes the parameters of a request, sends it over
// the agent's socket, and reads the answer back. It does without net/http, whose
// start takes longer than a small listing.
package ask
