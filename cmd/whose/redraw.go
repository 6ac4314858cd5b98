package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/seed-44df2ae6/whose"
	"github.com/seed-44df2ae6/whose/collect"
	"github.com/seed-44df2ae6/whose/internal/footprint"
	"github.com/seed-44df2ae6/whose/internal/lots"
	"github.com/seed-44df2ae6/whose/internal/render"
)

// Sequences of a terminal (ECMA-48, and DECTCEM for the cursor).
const (
	clearScreen = "\x1b[2J"
	goHome      = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
	hideCursor  = "\x1b[?25l"
	showCursor  = "\x1b[?25h"
)

// shortestInterval is the shortest time between two passes.
const shortestInterval = 100 * time.Millisecond

// redraw shows the sessions again and again until it is stopped. It draws each
// table over the last one; JSON lines follow each other. The collector stays
// open in between.
func (l *list) redraw(ctx context.Context, c *collect.Collector, opts *collect.Options) error {
	draw := l.frame
	switch {
	case l.every < shortestInterval:
		return usagef("--watch: want at least %v, got %v", shortestInterval, l.every)
	case l.format == render.JSONL:
		draw = l.lines
	case !l.forPerson():
		return whose.WithHint(usagef("--watch: format %s has one end only", l.format),
			"for a program: --watch with -o jsonl")
	case !isTerminal(l.sh.out):
		return whose.WithHint(usagef("--watch: the table is redrawn at a terminal only"),
			"for a program or a file: --watch with -o jsonl")
	}
	footprint.LongLived(l.sh.getenv)
	opts.Needs = whose.NeedSessions | l.needs(opts.Filter)
	l.countOthers(l.sh, opts, l.forPerson())
	ctx, stop := signal.NotifyContext(ctx, stopSignals()...)
	defer stop()
	resized := make(chan os.Signal, 1)
	notifyResize(resized)
	defer signal.Stop(resized)
	if l.drawsOver() {
		fmt.Fprint(l.sh.out, hideCursor+clearScreen)
		defer fmt.Fprint(l.sh.out, "\r\n"+showCursor)
	}
	quit, restore := quitKey(l.in)
	defer restore()
	return l.repeat(ctx, resized, quit, func() error { return draw(ctx, c, opts) })
}

// drawsOver reports whether frames are drawn over each other.
func (l *list) drawsOver() bool { return l.forPerson() && l.sh.capable() }

// repeat draws at once, then after each interval and after each change of the
// terminal's size, until the user quits.
func (l *list) repeat(ctx context.Context, resized <-chan os.Signal, quit <-chan struct{}, draw func() error) error {
	tick := time.NewTicker(l.every)
	defer tick.Stop()
	for {
		if err := draw(); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-quit:
			return nil
		case <-tick.C:
		case <-resized:
		}
	}
}

// lines writes one pass as JSON lines.
func (l *list) lines(ctx context.Context, c *collect.Collector, opts *collect.Options) error {
	r, err := l.renderer()
	if err != nil {
		return err
	}
	answer, err := l.pass(ctx, c, opts)
	if err != nil {
		return err
	}
	defer answer.close()
	if err := r.Write(l.sh.out, answer, answer.cov); err != nil {
		return l.failed(err)
	}
	if text := notSeen(answer.cov); text != "" && !l.told {
		l.sh.say("%s", text)
		l.told = true
	}
	return nil
}

// frame draws one pass: a title, as many sessions as fit into the terminal's
// lines, and the number of the others.
func (l *list) frame(ctx context.Context, c *collect.Collector, opts *collect.Options) error {
	width, height := l.sh.width(), l.sh.height()
	l.shape.Width = width
	r, err := l.renderer()
	if err != nil {
		return err
	}
	answer, err := l.pass(ctx, c, opts)
	if err != nil {
		return err
	}
	defer answer.close()
	room := max(1, height-3) // the first line, the titles and the last line
	all := answer.Len()
	first, sessionsIn := lots.First(room, answer), func(rows int) int { return min(all, rows) }
	if l.folds() {
		folded := render.Fold(answer)
		first, sessionsIn = folded.First(room), func(rows int) int { return folded.First(rows).Sessions() }
	}
	var text bytes.Buffer
	if err := r.Write(&text, first, nil); err != nil {
		return l.failed(err)
	}
	lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	lines = fitFrame(lines, func(cut int) int { return all - sessionsIn(first.Len()-cut) }, height-1)
	if l.shape.ASCII {
		lines[len(lines)-1] = render.ASCII(lines[len(lines)-1]) // it may count what is left out
	}
	lines = append([]string{l.frameTitle(all, answer.cov, width)}, lines...)
	_, err = l.sh.out.Write(l.paint(lines, height))
	return writeError(err)
}

// fitFrame cuts the lines of a table to at most height. The last line gives the
// number of sessions left out, which is left(n) if n rows of the table were cut.
func fitFrame(lines []string, left func(cut int) int, height int) []string {
	if left(0) == 0 && len(lines) <= height {
		return lines
	}
	cut := 0
	for len(lines) > max(1, height-1) {
		last := len(lines) - 1
		if lines[last] != "" { // an empty line parts listeners from the rest
			cut++
		}
		lines = lines[:last]
	}
	return append(lines, fmt.Sprintf("… %d more", left(cut)))
}

// frameTitle is the first line of a frame.
func (l *list) frameTitle(all int, c *whose.Coverage, width int) string {
	title := fmt.Sprintf("%s  every %v  %s", time.Now().Format(time.TimeOnly), l.every,
		plural(all, "session", "sessions"))
	if l.typed != "" {
		title += "  " + printable(l.typed)
	}
	if text := l.others(c); text != "" {
		title += "  " + text
	}
	if text := notSeen(c); text != "" {
		title += "  " + printable(text)
	}
	return l.sh.legible(render.Cut(l.sh.legible(title), width))
}

// paint makes the bytes for lines on the screen, at most height of them.
func (l *list) paint(lines []string, height int) []byte {
	if !l.drawsOver() {
		return []byte(strings.Join(lines, "\n") + "\n\n")
	}
	lines = lines[:min(len(lines), height)]
	var b strings.Builder
	b.WriteString(goHome)
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(line)
		b.WriteString(clearLine)
	}
	b.WriteString(clearBelow)
	return []byte(b.String())
}
