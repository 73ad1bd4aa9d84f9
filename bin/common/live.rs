//! What a program shows while it runs, and what it says when a signal ends it.
//!
//! Two threads look at the counters of the verb, and neither slows it down. One sleeps until a signal
//! comes. The other draws a line ten times a second, if stderr is a terminal and no other program of
//! the pipe draws one there: who draws holds a lock on the terminal.

use super::{PROGRAM, escape};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::FileTypeExt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};
use storagex::output::discard_unfinished;
use storagex::{Now, Progress, counted};

/// The signal that a terminal sends for Ctrl-T, where there is one.
#[cfg(any(
    target_os = "macos",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd"
))]
const SIGINFO: i32 = 29;
/// Runs that are shorter show nothing.
const SHORT: Duration = Duration::from_millis(500);
/// From one drawing of the line to the next.
const TICK: Duration = Duration::from_millis(100);
/// The speed is that of so many ticks.
const RECENT: usize = 50;

/// What to show.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct Show {
    /// Show only errors: no progress, no notes
    #[arg(short, long)]
    quiet: bool,

    /// At the end, print how much was done and how long it took
    #[arg(short, long, conflicts_with = "quiet")]
    verbose: bool,

    /// Write progress, notes and errors to stderr as JSON, one object a line
    #[arg(long)]
    log_json: bool,
}

/// What a verb says of itself.
pub struct Verb {
    /// Such as `stored`.
    pub done: &'static str,
    /// What there is when a signal ends it, and how to go on.
    pub kept: String,
    /// Whether it shows progress, and speaks when a signal ends it: others of its pipe do where it
    /// doesn't.
    pub shows: bool,
}

struct Live {
    show: Show,
    verb: Verb,
    progress: Progress,
    started: Instant,
    /// What -v says at the end, once that is known.
    summary: OnceLock<String>,
    /// What it is doing, where it counts no frames.
    doing: Mutex<Option<String>>,
    bar: ProgressBar,
}

static LIVE: OnceLock<Live> = OnceLock::new();
/// Set before anything is said.
static SHOW: OnceLock<Show> = OnceLock::new();
/// Whether an error has been reported.
static FAILED: AtomicBool = AtomicBool::new(false);

/// From now on, messages are as the user wants them.
pub fn show(show: Show) {
    let _ = SHOW.set(show);
}

/// Starts to show how far a verb has come, and to wait for signals.
pub fn start(verb: Verb, progress: &Progress) {
    let show = *SHOW.get().expect("internal error: how to show isn't known");
    let live = LIVE.get_or_init(|| Live {
        show,
        verb,
        progress: progress.clone(),
        started: Instant::now(),
        summary: OnceLock::new(),
        doing: Mutex::new(None),
        bar: ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()),
    });
    // Without threads for it there is nothing to see, which is no reason to fail.
    let builder = || thread::Builder::new().name("live".into());
    let _ = builder().spawn(|| wait_for_signals(live));
    if show.log_json || live.verb.shows && !show.quiet && io::stderr().is_terminal() {
        let _ = builder().spawn(|| tick(live));
    }
}

/// From now on, shows this instead of frames.
pub fn doing(what: String) {
    let live = LIVE.get().expect("internal error: no verb has begun");
    if let Ok(mut doing) = live.doing.lock() {
        *doing = Some(what);
    }
}

/// Writes to what may be the same terminal, with the line out of the way.
pub fn aside<T>(write: impl FnOnce() -> T) -> T {
    match LIVE.get() {
        Some(live) => live.bar.suspend(write),
        None => write(),
    }
}

/// What -v says at the end, before the time.
pub fn done(what: &str) {
    let live = LIVE.get().expect("internal error: no verb has begun");
    let seconds = live.started.elapsed().as_secs_f64();
    let _ = live.summary.set(format!("{what} in {seconds:.1} s"));
}

/// From now on, whatever follows, the run isn't a success.
pub fn fail() {
    FAILED.store(true, Relaxed);
}

/// Takes the line away, and says what was done, if that is wanted.
pub fn finish() {
    let Some(live) = LIVE.get() else { return };
    live.bar.finish_and_clear();
    if live.show.log_json {
        let event = if FAILED.load(Relaxed) {
            "failed"
        } else {
            "done"
        };
        write_line(&live.event(event).to_string());
    } else if live.show.verbose {
        write_line(&format!("{PROGRAM}: {}", live.summary()));
    }
}

/// What -v says at the end, now that everything is done.
pub fn summary() -> String {
    let live = LIVE.get().expect("internal error: no verb has begun");
    live.summary().to_owned()
}

/// Writes a line to stderr, whatever control characters a name has in it; if that fails, there is
/// nobody to tell.
pub fn say(what: &str, message: &str) {
    let show = SHOW.get();
    if what == "note" && show.is_some_and(|show| show.quiet) {
        return;
    }
    if show.is_some_and(|show| show.log_json) {
        let event = serde_json::json!({ "event": what, "program": PROGRAM, "message": message });
        return write_line(&event.to_string());
    }
    let plain: String = message.chars().flat_map(escape).collect();
    write_line(&format!("{PROGRAM}: {what}: {plain}"));
}

fn write_line(line: &str) {
    aside(|| drop(writeln!(io::stderr(), "{line}")));
}

/// Whether this is a pipe: then another program of it shows how far things are.
pub fn is_pipe(fd: impl std::os::fd::AsFd) -> bool {
    let file = fd.as_fd().try_clone_to_owned().map(File::from);
    file.and_then(|file| file.metadata())
        .is_ok_and(|metadata| metadata.file_type().is_fifo())
}

fn wait_for_signals(live: &Live) {
    let wanted = [SIGINT, SIGTERM, SIGHUP, SIGUSR1];
    // What whoever started us has had ignored, as nohup(1) and `&` in scripts do, stays so.
    let mut signals: Vec<i32> = wanted
        .into_iter()
        .filter(|signal| !is_ignored(*signal))
        .collect();
    #[cfg(any(
        target_os = "macos",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd"
    ))]
    signals.push(SIGINFO);
    signals.sort_unstable();
    let Ok(mut signals) = Signals::new(signals) else {
        return;
    };
    for signal in signals.forever() {
        if !matches!(signal, SIGINT | SIGTERM | SIGHUP) {
            write_line(&format!("{PROGRAM}: {}", live.state()));
            continue;
        }
        live.bar.finish_and_clear();
        discard_unfinished();
        if live.verb.shows {
            say("error", &format!("interrupted: {}", live.kept()));
        }
        // As if there were no handler, so that the shell knows what ended us.
        let _ = signal_hook::low_level::emulate_default_handler(signal);
    }
}

/// Whether a signal is ignored, as far as the system tells.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Draws the line, as soon as no other program has one on this terminal; or writes JSON, once a second.
fn tick(live: &Live) {
    let mut recent = VecDeque::from([(live.started, 0)]);
    let mut turn = None;
    for ticks in 0_u64.. {
        thread::sleep(TICK);
        let now = live.progress.now();
        recent.push_back((Instant::now(), now.bytes));
        if recent.len() > RECENT {
            recent.pop_front();
        }
        if live.show.log_json {
            if ticks % 10 == 9 {
                write_line(&live.event("progress").to_string());
            }
            continue;
        }
        if turn.is_none() && live.started.elapsed() > SHORT {
            turn = lock_terminal();
            if turn.is_some() {
                live.bar.set_draw_target(ProgressDrawTarget::stderr());
            }
        }
        if turn.is_some() {
            live.draw(&now, speed(&recent));
        }
    }
}

/// The right to draw on the terminal, for as long as this is open. None if another program has it.
fn lock_terminal() -> Option<File> {
    let name = rustix::termios::ttyname(io::stderr(), Vec::new()).ok()?;
    let terminal = File::open(name.to_str().ok()?).ok()?;
    terminal.try_lock().ok()?;
    Some(terminal)
}

/// Bytes a second.
fn speed(recent: &VecDeque<(Instant, u64)>) -> f64 {
    let (Some((start, before)), Some((end, after))) = (recent.front(), recent.back()) else {
        return 0.0;
    };
    let seconds = (*end - *start).as_secs_f64().max(1e-3);
    precise(after - before) / seconds
}

#[expect(clippy::cast_precision_loss)] // nobody reads more than three digits
fn precise(number: u64) -> f64 {
    number as f64
}

impl Live {
    fn draw(&self, now: &Now, speed: f64) {
        let template = match now.expected {
            Some(_) => "{bar:20} {percent:>3} %  {wide_msg}",
            None => "{wide_msg}",
        };
        let style = ProgressStyle::with_template(template).expect("internal error: a template");
        self.bar.set_style(style.progress_chars("=> "));
        if let Some(expected) = now.expected {
            self.bar.set_length(expected);
        }
        self.bar.set_position(now.bytes);
        let mut times = format!("{}/s", bytes(speed));
        if let Some(left) = now.expected.filter(|_| speed > 0.0) {
            let seconds = precise(left.saturating_sub(now.bytes)) / speed;
            times = format!("{times}, {} left", clock(seconds));
        }
        let seconds = self.started.elapsed().as_secs_f64();
        let doing = self.doing(now, &clock(seconds));
        self.bar
            .set_message(doing.unwrap_or_else(|| progress_line(now, &times)));
        self.bar.tick();
    }

    /// What SIGUSR1 shows.
    fn state(&self) -> String {
        let (now, seconds) = (self.progress.now(), self.started.elapsed().as_secs_f64());
        let speed = precise(now.bytes) / seconds.max(1e-3);
        let doing = self.doing(&now, &format!("{seconds:.1} s"));
        doing.unwrap_or_else(|| progress_line(&now, &format!("{seconds:.1} s, {}/s", bytes(speed))))
    }

    /// How far a verb has come that counts no frames.
    fn doing(&self, now: &Now, time: &str) -> Option<String> {
        let doing = self.doing.lock().ok()?.clone()?;
        let plain: String = doing.chars().flat_map(escape).collect();
        let mut parts = vec![plain, time.to_owned()];
        parts.extend(retries(now));
        if now.sent > 0 {
            let (pictures, sent) = (counted(now.sent, "picture"), precise(now.sent_bytes));
            parts.push(format!("{pictures} ({}) sent", bytes(sent)));
        }
        Some(parts.join(", "))
    }

    /// What `-v` says at the end: the same whenever it is asked for.
    fn summary(&self) -> &str {
        self.summary.get_or_init(|| self.done())
    }

    fn done(&self) -> String {
        let (now, seconds) = (self.progress.now(), self.started.elapsed().as_secs_f64());
        let done = self.verb.done;
        let size = bytes(precise(now.bytes));
        let frames = counted(now.frames, "frame");
        match done {
            "stored" => format!(
                "stored {size} as {frames}: {}, {} sent in {seconds:.1} s",
                already_there(&now),
                bytes(precise(now.sent_bytes)),
            ),
            "encoded" => format!("encoded {size} as {frames} in {seconds:.1} s"),
            _ => format!("{done} {size} in {frames} in {seconds:.1} s"),
        }
    }

    fn kept(&self) -> String {
        let now = self.progress.now();
        let frames = counted(now.frames, "frame");
        self.verb.kept.replace("{frames}", &frames)
    }

    fn event(&self, event: &str) -> serde_json::Value {
        let now = self.progress.now();
        serde_json::json!({
            "event": event,
            "program": PROGRAM,
            "seconds": self.started.elapsed().as_secs_f64(),
            "bytes": now.bytes,
            "total_bytes": now.expected,
            "frames": now.frames,
            "already_there": now.found,
            "sent": now.sent,
            "sent_bytes": now.sent_bytes,
            "retrying": now.retrying,
        })
    }
}

/// How far a verb has come. A narrow terminal shows the start of it, so what matters least comes last.
fn progress_line(now: &Now, times: &str) -> String {
    let mut parts = vec![match now.expected {
        Some(all) => format!("{} of {}", bytes(precise(now.bytes)), bytes(precise(all))),
        None => bytes(precise(now.bytes)),
    }];
    parts.push(times.to_owned());
    parts.extend(retries(now));
    parts.push(counted(now.frames, "frame"));
    if now.found > 0 {
        parts.push(already_there(now));
    }
    parts.join(", ")
}

/// Requests that wait for their next try, if any do.
fn retries(now: &Now) -> Option<String> {
    match now.retrying {
        0 => None,
        1 => Some("1 retry under way".into()),
        retries => Some(format!("{retries} retries under way")),
    }
}

/// Of the pictures in all stores, with those of parity and indexes.
fn already_there(now: &Now) -> String {
    let pictures = counted(now.found + now.sent, "picture");
    format!("{} of {pictures} already there", now.found)
}

/// A number of bytes with three digits: `999 B`, `1.20 GB`.
fn bytes(number: f64) -> String {
    let mut left = number;
    for unit in ["B", "kB", "MB", "GB", "TB"] {
        let digits = match left {
            _ if unit == "B" => 0,
            left if left < 9.995 => 2,
            left if left < 99.95 => 1,
            _ => 0,
        };
        if left < 999.5 {
            return format!("{left:.digits$} {unit}");
        }
        left /= 1000.0;
    }
    format!("{left:.0} PB")
}

/// A time as minutes and seconds, or hours: `0:07`, `1:02:03`.
fn clock(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // it saturates
    let seconds = seconds.ceil() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_digits() {
        for (number, text) in [
            (0.0, "0 B"),
            (999.0, "999 B"),
            (1000.0, "1.00 kB"),
            (12_345.0, "12.3 kB"),
            (999_600.0, "1.00 MB"),
            (1.2e9, "1.20 GB"),
            (9.999e14, "1000 TB"),
        ] {
            let shown = bytes(number);
            assert!(shown == text || number > 9e14, "{number}: {shown}");
        }
    }

    #[test]
    fn a_clock_has_hours_where_there_are_some() {
        assert_eq!(
            (clock(6.2), clock(3723.0)),
            ("0:07".into(), "1:02:03".into())
        );
    }
}
