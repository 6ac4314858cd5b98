// Hello is an empty program: what any Go program costs from start to end.
package main

func main() {}
