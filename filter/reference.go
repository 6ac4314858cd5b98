package filter

import (
	"fmt"
	"strings"

	"github.com/seed-44df2ae6/whose"
)

// Reference returns the reference page of the language in Markdown, made from
// the parser's own tables of fields, names and operators.
func Reference() string {
	var b strings.Builder
	b.WriteString(introduction)
	writeExamples(&b)
	b.WriteString(bareWords)
	b.WriteString(otherTools)
	writeFields(&b)
	writeOperators(&b)
	writeNames(&b)
	fmt.Fprintf(&b, limits, MaxLength>>10, MaxDepth, maxRegexpSteps)
	return b.String()
}

// An Example is a filter on the reference page and the man page.
type Example struct{ Filter, Doc string }

// Examples returns filters for many uses, each with its meaning.
func Examples() []Example { return append([]Example(nil), examples[:]...) }

var examples = [...]Example{
	{":443", "who is on port 443, at either end"},
	{":8000-9000", "a range of ports, at either end"},
	{"nginx", "the sessions of the process nginx"},
	{"nginx,apache2", "those of either"},
	{"'postgres*'", "a pattern; the quotes keep the shell from reading it"},
	{"10.0.0.0/8", "an address or prefix, at either end"},
	{"192.0.2.7:443", "an address with its port, at either end"},
	{"[2001:db8::1]:443", "the same for IPv6"},
	{"pid 812", "the sessions of one process"},
	{"tcp established", "two conditions beside each other: both have to hold"},
	{"listening and not user root", "listeners, except root's"},
	{`tcp and state established and not remote in 127.0.0.0/8 and process ~ "^post"`, "several conditions"},
	{"netns web and (lport 80 or lport 443)", "in the network namespace web"},
	{"lport in (80, 443, 8000-8099)", "one of several"},
	{"user www-data and rtt > 50ms", "slow ones of one user"},
	{"local 10.0.0.1:443 and not remote 10.0.0.0/8", "served to the outside"},
	{"recv_queue > 100KiB or send_queue > 1M", "something does not keep up"},
	{"state listen and recv_queue > 0", "connections in an accept queue"},
	{"direction out and rport 5432 and not peer_comm postgres", "connections to a database elsewhere"},
	{"unit nginx.service and state close-wait", "closed there and not here"},
	{"start_time > 10m", "of processes started in the last ten minutes"},
	{"reason hidden", "held by a hidden process"},
	{"cmdline ~ '(?i)--config[= ]/etc/'", "a regular expression on the command line"},
	{"not process = *", "no process is known to hold it"},
}

const introduction = "# Filters\n\n" +
	"<!-- Generated from the table of fields: go test ./filter -update -->\n\n" +
	`A filter selects sessions. It comes after the command; the library takes the same
text (` + "`filter.Parse`" + `). Without a filter every session is selected.

A condition is a field, an operator and a value; the operator may be left out:
` + "`lport 80`" + ` is ` + "`local_port = 80`" + `. Conditions are joined by ` + "`and`, `or` and `not`" + ` (also
` + "`&&`, `||`, `!`" + `) and parentheses; ` + "`not`" + ` binds tightest, then ` + "`and`" + `, then ` + "`or`" + `. Two
conditions beside each other mean ` + "`and`" + `. Names and keywords are written in any
case.

The shell has its own meaning for parentheses, ` + "`<`, `>`, `|`, `&`, `!`, `*`" + ` and quotes, so
quote a filter with them: ` + "`whose 'netns web and (lport 80 or lport 443)'`" + `.

## Examples

`

const otherTools = `## As ss, lsof and fuser have it

Words of these tools are accepted where their meaning is plain. Others
(` + "`net`, `fwmark`, `src port`" + ` …) are refused with ours. [Recipes](recipes.md) has
whole commands.

| there | here |
|---|---|
| ` + "`sport = :443`, `dport eq :https`, `dport gt :1024`" + ` | the same; ` + "`lport 443`, `rport https`, `rport > 1024`" + ` |
| ` + "`src 10.0.0.1`, `dst 10.0.0.0/8:443`" + ` | the same; ` + "`local 10.0.0.1`, `remote 10.0.0.0/8:443`" + ` |
| ` + "`state all`, `state connected`, `state fin-wait-1`" + ` | the same |
| ` + "`exclude listening`" + ` | the same; ` + "`not state listening`" + ` |
| ` + "`TCP:80`, `UDP@10.0.0.1:53`, `443/tcp`" + ` | the same |

Names of services come from /etc/services, else from a table of well-known ones.

`

const bareWords = `
## Words alone

| word | means |
|---|---|
| ` + "`:443`, `:8000-9000`, `:https`" + ` | a port, a range of ports or a service, at either end |
| ` + "`192.0.2.7`, `10.0.0.0/8`, `10.0.0.*`, `2001:db8::/32`" + ` | an address or prefix at either end |
| ` + "`localhost`, `localhost:443`" + ` | 127.0.0.0/8 or ::1 at either end |
| ` + "`443/tcp`, `tcp:443`, `tcp@192.0.2.7:443`" + ` | a port or an end, of a protocol; TCP has MPTCP with it, UDP UDP-Lite |
| ` + "`nginx:443`, `nginx:https`" + ` | the name of an owner, and a port at either end |
| ` + "`192.0.2.7:443`, `[::1]:443`, `*:443`" + ` | an address and its port, both at the same end |
| ` + "`tcp`, `listen`, `ipv6`" + ` … | a protocol, state or family |
| ` + "`/usr/sbin/nginx`" + ` | the path of an owner's executable |
| any other, and any in quotes | the name of an owner |

Several of one kind are parted by commas: ` + "`nginx,apache2`" + `. A number alone may mean
many things and is refused: write ` + "`:443`" + ` for a port, ` + "`pid 443`" + ` for a process. A
process whose name means something else is quoted or written out: ` + "`process tcp`" + `.

`

func writeExamples(b *strings.Builder) {
	b.WriteString("| filter | asks for |\n|---|---|\n")
	for _, e := range examples {
		fmt.Fprintf(b, "| %s | %s |\n", code(e.Filter), cell(e.Doc))
	}
}

// code returns text as code inside a table.
func code(s string) string { return "`" + cell(s) + "`" }

// cell returns text fit for a cell of a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func writeFields(b *strings.Builder) {
	b.WriteString("## Fields\n\n")
	b.WriteString("Names for either end: a condition on one of these holds if it holds at one end.\n\n")
	b.WriteString("| name | meaning |\n|---|---|\n")
	for _, p := range whose.Pairs() {
		fmt.Fprintf(b, "| %s | %s |\n", code(p.Name), cell(p.Doc))
	}
	groups := [...]struct {
		of   whose.Group
		text string
	}{
		{whose.OfSession, "Of the session:"},
		{whose.OfOwner, "Of its owners. A condition holds if it holds for any owner; two conditions may hold for two different owners:"},
		{whose.OfPeer, "Of the owners of the other end, if it is on this host too; again any of them:"},
		{whose.OfTCP, "Of TCP sessions only:"},
		{whose.OfLife, "Of an ended session, or of an event; `whose watch` knows them:"},
		{whose.OfEvent, "Of an event; `whose watch` knows them:"},
	}
	for _, g := range groups {
		b.WriteString("\n" + g.text + "\n\n| name | short | kind | meaning |\n|---|---|---|---|\n")
		for _, f := range whose.AllFields() {
			if f.Of == g.of {
				fmt.Fprintf(b, "| %s | %s | %s | %s |\n", code(f.Name), codes(f.Aliases), f.Kind, cell(f.Doc))
			}
		}
	}
	b.WriteString(fieldNotes)
}

// codes returns words as code with commas between them.
func codes(words []string) string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = code(w)
	}
	return strings.Join(all, ", ")
}

const fieldNotes = `
- A session or owner without a value for a field meets no condition on it, and so
  it meets the negated condition: ` + "`rtt > 50ms`" + ` and ` + "`rtt <= 50ms`" + ` are both false for
  UDP, ` + "`not rtt > 50ms`" + ` is true. ` + "`!=`, `not in` and `!~`" + ` are negations in this sense:
  ` + "`pid != 812`" + ` means: 812 is not among the owners.
- ` + "`local`, `remote` and `addr`" + ` also take a port: ` + "`local 10.0.0.1:443`, `remote :53`" + `.
- ` + "`netns`" + ` takes an inode number, a name (digits in quotes), or ` + "`self`" + ` for the
  namespace of the command.
- ` + "`user`" + ` and ` + "`owner_user`" + ` take a name or a number, which is compared with
  ` + "`uid`" + ` too. A name is looked for in /etc/passwd, then by ` + "`getent`" + ` (LDAP,
  SSSD, systemd) for a second at most. One that nobody knows is an error.
- The kernel cuts names of processes at 15 bytes. A longer name in a filter is
  compared up to there: ` + "`process systemd-resolved`" + ` finds
  ` + "`systemd-resolve`" + `.
- By itself ` + "`whose`" + ` shows LISTEN, ESTABLISHED and UNCONN. A filter that names
  something asks for every state: a process or anything else of an owner (` + "`nginx`, `pid 812`," + `
  ` + "`unit`, `container`, `owner_user`" + ` …), of a peer, an address or a port on either side, a user,
  an inode or a cookie. It names it outside of negations: ` + "`not port 22` and `port != 22`" + ` name
  nothing. Nor do ` + "`tcp`, `ipv6`, `direction in`, `rtt > 50ms` or `netns web`" + `, which
  ask for a kind or a place. One part is enough: ` + "`udp or :443`" + ` is in every state.
- A filter with a state anywhere, and the flags -l, -e and -a, decide by themselves.
- ` + "`tcp`" + ` and ` + "`mptcp`" + ` are two protocols: write ` + "`tcp,mptcp`" + ` for both.
- A filter may select certain processes alone (` + "`pid 812`, `nginx`" + `). ` + "`whose`" + ` may then read
  only these, and miss other owners of the same sockets.

`

// kindDocs say how the values of each kind are written.
var kindDocs = [...]struct {
	kind whose.Kind
	doc  string
}{
	{whose.KindText, "Text, compared exactly; `*` stands for any text and `?` for one character, unless a backslash stands before them. In quotes, single or double, where it holds spaces or other than letters, digits and `_-./:@+%*?`. Backslash escapes: `\\n`, `\\t`, `\\r`, `\\xHH`, and any other character for itself."},
	{whose.KindName, "One of a few names, in any case, with `-`, `_` or nothing between its parts: `TIME_WAIT`, `time-wait`."},
	{whose.KindNumber, "A whole number, or in hexadecimal with `0x`; a range `1000-1999`."},
	{whose.KindPort, "A port number, a range `8000-9000`, or the name of a service: `https`; with a colon before it if wanted."},
	{whose.KindAddr, "An IPv4 or IPv6 address, or a prefix `10.0.0.0/8` (bits behind its length are ignored); `10.0.0.*`, or `localhost`; with a port `10.0.0.0/8:443`, `[fe80::/10]:443`, `:443`. An IPv4-mapped IPv6 address is an IPv4 address."},
	{whose.KindBytes, "A number of bytes, with a unit if wanted: `K`, `KiB`, `M`, `MiB` … are powers of 1,024, `kB`, `MB` … of 1,000; `1.5M`; a range `1K-2K`."},
	{whose.KindDuration, "A span of time with its unit (`ns`, `us`, `ms`, `s`, `m`, `h`, `d`): `50ms`, `1.5s`, `1d12h`; a range `10ms-20ms`."},
	{whose.KindTime, "A point in time: `2026-01-31T08:00:00Z`, `2026-01-31T08:00`, `2026-01-31`, in local time without a zone; or an age: `10m` is the moment ten minutes ago, so `> 10m` is later and `< 2d` is earlier than two days ago. Equal means within that day, minute or second; later means after its end."},
	{whose.KindInstant, "A point in time, as of kind time; known to the microsecond."},
	{whose.KindHex, "A number as 16 hexadecimal digits, in any case."},
	{whose.KindBool, "`true` or `false`, `yes` or `no`; the name of the field alone means true."},
	{whose.KindNumbers, "Several numbers, of which one has to meet the condition; written as a number."},
}

func writeOperators(b *strings.Builder) {
	b.WriteString("## Operators\n\n| operator | meaning |\n|---|---|\n")
	fmt.Fprintf(b, "| %s, or none | %s; several values are parted by commas: `lport 80,443` |\n", codes([]string{"=", "=="}), opDocs[Eq])
	b.WriteString("| `in`, `not in` | the same as `=` and `!=`, for lists, which may stand in parentheses, ranges and prefixes |\n")
	for op := Ne; op <= NoMatch; op++ {
		name := code(op.String())
		if op == Match {
			name = codes([]string{op.String(), "=~"})
		}
		fmt.Fprintf(b, "| %s | %s |\n", name, opDocs[op])
	}
	b.WriteString("\n| kind | operators | values |\n|---|---|---|\n")
	for _, k := range kindDocs {
		var ops []string
		for _, op := range operatorsOf(&subject{fields: []*whose.Field{{Kind: k.kind}}}) {
			ops = append(ops, code(op.String()))
		}
		fmt.Fprintf(b, "| %s | `in` %s | %s |\n", k.kind, strings.Join(ops, " "), cell(k.doc))
	}
	b.WriteString(operatorNotes)
}

const operatorNotes = "\n`netns` takes `=`, `!=` and `in` only; `netns_name` takes regular expressions. These are\n" +
	"Go's (RE2): not anchored, with regard to case unless they begin with `(?i)`, and best\n" +
	"written in quotes, in which a backslash is left as it is. On names they are compared\n" +
	"without regard to case.\n\n"

func writeNames(b *strings.Builder) {
	b.WriteString("## Names\n\n| field | values |\n|---|---|\n")
	for _, f := range whose.AllFields() {
		if f.Kind == whose.KindName {
			fmt.Fprintf(b, "| %s | %s |\n", code(f.Name), codes(f.Values))
		}
	}
	b.WriteString("\nOther spellings, and words for several at once:\n\n| field | word | means |\n|---|---|---|\n")
	for _, a := range aliases {
		doc := codes(a.values)
		if a.doc != "" {
			doc += " (" + a.doc + ")"
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", code(a.field), code(a.word), doc)
	}
}

const limits = `
## Limits

A filter is at most %d KiB long, its parentheses and negations at most %d levels
deep, and all its regular expressions together at most %d steps, repetitions
multiplied out. Matching takes time in proportion to the product of the lengths of
expression and text at most; no regular expression makes it run away.
`
