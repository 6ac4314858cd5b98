//go:build !linux

package collect

func adviseLarge[T any]([]T) {}
