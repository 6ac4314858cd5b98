package render

import "strconv"

// pairs holds the numbers from 00 to 99, two digits each.
const pairs = "00010203040506070809" +
	"10111213141516171819" +
	"20212223242526272829" +
	"30313233343536373839" +
	"40414243444546474849" +
	"50515253545556575859" +
	"60616263646566676869" +
	"70717273747576777879" +
	"80818283848586878889" +
	"90919293949596979899"

// appendUint appends a number in decimal, like strconv.AppendUint. It writes
// four digits at a time and straight to their place, not by way of other memory:
// numbers are much of the cost of a line of JSON.
func appendUint(dst []byte, n uint64) []byte {
	switch {
	case n < 10:
		return append(dst, byte('0'+n))
	case n < 100:
		return append(dst, pairs[2*n], pairs[2*n+1])
	case n < 1000:
		return append(dst, byte('0'+n/100), pairs[2*(n%100)], pairs[2*(n%100)+1])
	case n < 10_000:
		return appendFour(dst, n)
	}
	return appendFour(appendUint(dst, n/10_000), n%10_000)
}

// appendFour appends a number below 10,000, with zeroes before it.
func appendFour(dst []byte, n uint64) []byte {
	high, low := 2*(n/100), 2*(n%100)
	return append(dst, pairs[high], pairs[high+1], pairs[low], pairs[low+1])
}

// appendNumbers appends numbers, parted by commas.
func appendNumbers(dst []byte, list []int32) []byte {
	for i, n := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		if n < 0 {
			dst = strconv.AppendInt(dst, int64(n), 10)
			continue
		}
		dst = appendUint(dst, uint64(n))
	}
	return dst
}

// digits is the number of digits of a number in decimal.
func digits(n uint32) int {
	count := 1
	for ; n >= 10; n /= 10 {
		count++
	}
	return count
}
