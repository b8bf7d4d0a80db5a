package report

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chromium is Debian's.
const chromium = "/usr/bin/chromium"

// browserBound is for all of a browser test.
const browserBound = 5 * time.Minute

var shots = flag.String("shots", "", "write pictures of the pages to this folder")

// proxy takes every connection that the browser wants to make to the network,
// and notes what for.
type proxy struct {
	listener net.Listener
	serving  sync.WaitGroup

	mu    sync.Mutex
	asked []string
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l}
	p.serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			p.serving.Go(func() { p.take(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close() // it is not used any more
		p.serving.Wait()
	})
	return p
}

func (p *proxy) take(c net.Conn) {
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return
	}
	request, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return // the browser opens connections ahead of need
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, strings.TrimSpace(request))
}

// browsersOwn are the makers of the browser, whom it asks of itself whatever page
// it shows. What a page asks for is seen besides by the events of its tab.
var browsersOwn = regexp.MustCompile(`^[A-Z]+ (http://)?[a-z0-9.-]+\.(google|googleapis|gstatic)\.com[:/]`)

// requests are those that the browser did not make of itself.
func (p *proxy) requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.asked), browsersOwn.MatchString)
}

// startBrowser starts Chromium, which ends with the test and all its processes.
func startBrowser(t *testing.T, proxy *proxy) context.Context {
	t.Helper()
	if _, err := os.Stat(chromium); err != nil {
		t.Fatalf("%v: run scripts/setup.sh", err)
	}
	profile := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), browserBound)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewExecAllocator(ctx,
		chromedp.ExecPath(chromium), chromedp.UserDataDir(profile), chromedp.Headless, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.ProxyServer("http://"+proxy.listener.Addr().String()), chromedp.Flag("proxy-bypass-list", "<-loopback>"),
		// The less the browser asks the network for of itself, the better.
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-default-apps", true),
		chromedp.Flag("disable-client-side-phishing-detection", true), chromedp.Flag("disable-extensions", true),
		chromedp.Flag("disable-breakpad", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("disable-features", "OptimizationHints,NetworkTimeServiceQuerying,PreconnectToSearch,MediaRouter"))
	ctx, _ = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		// The context of the test is over by now; the error is that.
		_ = chromedp.Cancel(ctx)
		stop()
		killUsersOf(profile)
	})
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("%s: %v", chromium, err)
	}
	return ctx
}

// killUsersOf ends the processes of a browser that may have outlived it. All of
// them have its profile's folder, which is nobody else's, in their arguments.
func killUsersOf(profile string) {
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return // the pattern is right
	}
	for _, path := range paths {
		arguments, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(arguments, []byte("--user-data-dir="+profile)) {
			continue // gone, or another
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone by now
		}
	}
}

// tab is a page in the browser, and what it complained of and asked for.
type tab struct {
	context.Context
	url string

	mu         sync.Mutex
	complaints []string
	asked      []string
}

// open opens the page of in in a tab of its own.
func open(t *testing.T, browser context.Context, in Input) *tab {
	t.Helper()
	return openPage(t, browser, write(t, in))
}

func openPage(t *testing.T, browser context.Context, page []byte) *tab {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(path, page, 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, closeTab := chromedp.NewContext(browser)
	t.Cleanup(closeTab)
	b := &tab{Context: ctx, url: "file://" + path}
	if err := chromedp.Listen(ctx, b.event); err != nil {
		t.Fatal(err)
	}
	b.do(t, call(log.Enable, cdp.Empty{}), call(network.Enable, network.EnableParams{}), call(runtime.Enable, cdp.Empty{}),
		chromedp.Navigate(b.url))
	return b
}

func (b *tab) event(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		b.complaints = append(b.complaints, fmt.Sprintf("console.%s", e.Type))
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		b.complaints = append(b.complaints, e.Entry.Text+" "+e.Entry.URL)
	case *network.EventRequestWillBeSent:
		if address, _, _ := strings.Cut(e.Request.URL, "#"); address != b.url && !strings.HasPrefix(address, "data:") {
			b.asked = append(b.asked, address)
		}
	}
}

// call is a command of the protocol as an action.
func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, command, params)
		return err
	})
}

func (b *tab) do(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(b, actions...); err != nil {
		t.Fatal(err)
	}
}

// ask gives what a script evaluates to.
func ask[T any](t *testing.T, b *tab, script string) T {
	t.Helper()
	answer, err := chromedp.Run(b, chromedp.Evaluate[T](script))
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// none fails for each string that script gives.
func (b *tab) none(t *testing.T, what, script string) {
	t.Helper()
	for i, s := range ask[[]string](t, b, script) {
		if i == 5 {
			t.Errorf("%s: and more", what)
			break
		}
		t.Errorf("%s: %s", what, s)
	}
}

// look is how the page is looked at.
type look struct {
	width, height int64
	scheme        string
}

func (l look) String() string { return fmt.Sprintf("%dx%d-%s", l.width, l.height, l.scheme) }

// look has the page looked at so.
func (b *tab) look(t *testing.T, l look) {
	t.Helper()
	b.do(t,
		call(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: l.width, Height: l.height, DeviceScaleFactor: 1, Mobile: l.width < 500,
		}),
		call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: l.scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}}))
}

var looks = []look{{360, 740, "light"}, {360, 740, "dark"}, {1280, 800, "light"}, {1280, 800, "dark"}}

// The questions to the page; each gives what is wrong.
const (
	// overflow: nothing reaches beyond the window but in a box that scrolls.
	overflow = `(() => {
		const width = document.documentElement.clientWidth, wrong = [];
		const known = new Map([[document.body, false]]);
		const inBox = (e) => {
			if (!known.has(e)) known.set(e, /auto|scroll|hidden/.test(getComputedStyle(e).overflowX) || inBox(e.parentElement));
			return known.get(e);
		};
		if (visualViewport.width > width || document.documentElement.scrollWidth > width) wrong.push("the page is " + document.documentElement.scrollWidth + " wide in " + width);
		for (const e of document.body.querySelectorAll("*")) {
			const r = e.getBoundingClientRect();
			if (r.width && r.height && r.right > width + 1 && !e.closest(".skip") && !inBox(e))
				wrong.push(e.tagName + "." + (e.className.baseVal ?? e.className) + " ends at " + r.right + ": " + e.textContent.slice(0, 60));
		}
		return wrong;
	})()`

	// deadLinks: every link leads to something on the page.
	deadLinks = `[...document.querySelectorAll("a[href], use")].map((a) => a.getAttribute("href"))
		.filter((h) => !h.startsWith("#") || !document.getElementById(h.slice(1)))`

	twiceNamed = `[...document.querySelectorAll("[id]")].map((e) => e.id).filter((id, i, all) => all.indexOf(id) !== i)`

	// folded: what a details has shows once it is open.
	folded = `(() => {
		const all = [...document.querySelectorAll("details")];
		for (const d of all) d.open = true;
		return all.filter((d) => { const inside = d.querySelector(":scope > :not(summary)"); return inside && inside.getBoundingClientRect().height <= 0; }).map((d) => d.textContent.slice(0, 60));
	})()`

	// contrast: WCAG 2.2 AA, 1.4.3, for all text that shows.
	contrast = `(() => {
		const rgba = (s) => { const m = s.match(/[\d.]+/g).map(Number); return m.length < 4 ? [...m.slice(0, 3), 1] : m; };
		const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
		const known = new Map([[null, [255, 255, 255, 1]]]);
		const behind = (e) => {
			if (!known.has(e)) { const c = rgba(getComputedStyle(e).backgroundColor); known.set(e, c[3] > 0 ? c : behind(e.parentElement)); }
			return known.get(e);
		};
		const wrong = new Set();
		for (const e of document.body.querySelectorAll("*")) {
			if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || e.closest(".sr, title, desc, script, style")) continue;
			const s = getComputedStyle(e);
			if (s.visibility !== "visible" || !e.getBoundingClientRect().width) continue;
			const over = rgba(e.closest("svg") ? s.fill : s.color), under = behind(e);
			const [a, b] = [light(over.slice(0, 3)), light(under.slice(0, 3))];
			const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
			const size = parseFloat(s.fontSize), large = size >= 24 || size >= 18.66 && s.fontWeight >= 700;
			if (ratio < (large ? 3 : 4.5)) wrong.add(ratio.toFixed(2) + " of " + e.tagName + "." + (e.className.baseVal ?? e.className) + " " + over + " on " + under);
		}
		return [...wrong];
	})()`
)

// The page in a real browser: it loads, complains of nothing, asks for nothing,
// fits, and can be read.
func TestInBrowser(t *testing.T) {
	proxy := newProxy(t)
	browser := startBrowser(t, proxy)
	for name, in := range map[string]Input{
		"proven": complete(t), "stuck": small(t), "bare": {Boot: complete(t).Boot}, "hostile": hostile(t),
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, browser, in)
			b.none(t, "a link leads nowhere", deadLinks)
			b.none(t, "a name is used twice", twiceNamed)
			for _, l := range looks {
				b.look(t, l)
				b.none(t, l.String()+": too wide", overflow)
				b.none(t, l.String()+": contrast", contrast)
				b.picture(t, name+"-"+l.String())
			}
			b.none(t, "stays folded", folded)
			for _, l := range []look{looks[0], looks[3]} {
				b.look(t, l)
				b.none(t, l.String()+", unfolded: too wide", overflow)
				b.none(t, l.String()+", unfolded: contrast", contrast)
			}
			b.quiet(t)
		})
	}
	t.Run("without script", func(t *testing.T) {
		b := open(t, browser, busy(t))
		b.do(t, call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}), chromedp.Reload())
		if n := ask[[]string](t, b, `[...document.querySelectorAll("button")].map((e) => e.textContent)`); len(n) > 0 {
			t.Errorf("there are buttons %q that do nothing", n)
		}
		b.none(t, "a link leads nowhere", deadLinks)
		b.none(t, "stays folded", folded)
		b.quiet(t)
	})
	t.Run("links unfold", func(t *testing.T) {
		b := open(t, browser, busy(t))
		ask[int](t, b, `location.hash = document.querySelector(".run .frame").id; 0`)
		_, err := chromedp.Run(b, chromedp.Poll[bool](`document.querySelector(".run > details").open && document.querySelector(".run .frame:target") !== null`))
		if err != nil {
			t.Errorf("a link into a run does not unfold it: %v", err)
		}
		if !ask[bool](t, b, `document.querySelector(".tools button").click(); [...document.querySelectorAll("#frames details")].every((d) => d.open)`) {
			t.Error("the button does not unfold all")
		}
		b.quiet(t)
	})
	t.Run("keyboard", func(t *testing.T) {
		b := open(t, browser, complete(t))
		b.none(t, "no focus", `[...document.querySelectorAll("a, summary, button, .scroll")].filter((e) => e.tabIndex < 0).map((e) => e.outerHTML.slice(0, 80))`)
		b.none(t, "a mark tells nothing when it has the focus", `[...document.querySelectorAll(".tick")].filter((e) => { e.focus(); return !e.getAttribute("aria-label") || getComputedStyle(e.querySelector("text")).visibility !== "visible"; }).map((e) => e.outerHTML.slice(0, 80))`)
	})
	if asked := proxy.requests(); len(asked) > 0 {
		t.Errorf("the browser asked the network for %q", asked)
	}
	// All this would be seen.
	t.Run("a page that does ask", func(t *testing.T) {
		b := openPage(t, browser, []byte(`<!DOCTYPE html><p style="width: 500vw; color: #999">wide<a href="#nowhere">dead</a><img src="http://192.0.2.1/x" onerror="console.error('x')">`))
		b.look(t, looks[0])
		if len(b.asked) == 0 || len(b.complaints) == 0 || len(proxy.requests()) == 0 {
			t.Errorf("asked %q, complained %q, proxy %q", b.asked, b.complaints, proxy.requests())
		}
		for _, script := range []string{overflow, deadLinks, contrast} {
			if len(ask[[]string](t, b, script)) == 0 {
				t.Errorf("nothing wrong with a bad page: %s", script)
			}
		}
	})
}

// quiet checks that the page neither complained nor asked for anything.
func (b *tab) quiet(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.complaints) > 0 {
		t.Errorf("the page complains: %q", b.complaints)
	}
	if len(b.asked) > 0 {
		t.Errorf("the page asks for %q", b.asked)
	}
}

// picture keeps the page's looks where -shots says.
func (b *tab) picture(t *testing.T, name string) {
	t.Helper()
	if *shots == "" {
		return
	}
	png, err := chromedp.Run(b, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*shots, name+".png"), png, 0o644); err != nil {
		t.Error(err)
	}
}
