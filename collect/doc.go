// Package collect answers the question of the whole project: it chooses a
// source, gives it the part of the filter that it can apply, joins sockets
// with the processes that hold them, and keeps the account of what could not
// be seen.
//
// [Collect] makes one collection. A program that asks again and again keeps a
// [Collector] open, which reuses its buffers, descriptors and loaded programs:
//
//	c := collect.Open()
//	defer c.Close()
//	for {
//		answer, err := c.Collect(ctx, &collect.Options{})
//		if err != nil {
//			return err
//		}
//		for s := range answer.Sessions() {
//			…
//		}
//		answer.Close()
//	}
//
// # How an answer is made
//
// options.go says what can be asked, and plan.go turns it into a query for a
// source and the rest. Then the answer goes through stages. Each is a value that
// is made of the one before, and their memory is used again:
//
//	gather    what was read: sockets and descriptors       gather.go
//	join      the descriptors of each socket               join.go
//	derive    directions, other ends and reasons           derive.go
//	describe  names of processes, users and namespaces     describe.go
//	choose    the sockets that meet the question           choose.go
//	order     these, in the order of the answer            order.go
//
// sources.go chooses the source to gather from, holders.go gathers from two at
// once; spaces.go says which network namespaces are read, and held.go finds those
// that only a socket keeps alive. After the join again.go looks once more at what
// has no owner. session.go makes the values that are handed out. The hot loops are
// in join.go, order.go and session.go: they touch each socket and allocate nothing
// for it.
package collect
