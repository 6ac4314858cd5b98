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
// options.go says what can be asked; plan.go turns it into a query for a
// source and the rest; choose.go takes a source; gather.go reads sockets and
// descriptors, holders.go by two sources at once; join.go brings them together and derive.go adds what follows
// from the whole: direction, peers and reasons; order.go sorts; session.go
// makes the values that are handed out. The hot loops are in join.go, order.go
// and session.go: they touch each socket and allocate nothing for it.
package collect
