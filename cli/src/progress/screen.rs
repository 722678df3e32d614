//! The terminal's screen: taking it for a dashboard, and giving it back whatever happens.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use ratatui::crossterm::{cursor, execute};

/// Whether the screen is taken.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Columns and rows that a dashboard needs.
const MIN_COLUMNS: u16 = 40;
const MIN_ROWS: u16 = 12;

/// Whether standard error is a terminal that can show a dashboard, and this process is the one that the user sees there.
pub fn is_available() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    let is_large = size().is_ok_and(|(columns, rows)| columns >= MIN_COLUMNS && rows >= MIN_ROWS);
    !is_dumb && io::stderr().is_terminal() && is_in_foreground() && is_large
}

/// Whether a key would reach this process. A process in the background that changes the terminal is stopped.
#[cfg(unix)]
fn is_in_foreground() -> bool {
    // SAFETY: both calls only ask; an error is -1, which is no process group.
    unsafe { libc::tcgetpgrp(libc::STDERR_FILENO) == libc::getpgrp() }
}

#[cfg(not(unix))]
fn is_in_foreground() -> bool {
    true
}

/// Takes the screen.
pub fn take() -> io::Result<()> {
    save_settings();
    enable_raw_mode()?;
    IS_TAKEN.store(true, Ordering::SeqCst);
    execute!(io::stderr(), EnterAlternateScreen, cursor::Hide)
}

/// Gives the screen back, if it is taken.
pub fn give_back() {
    if IS_TAKEN.swap(false, Ordering::SeqCst) {
        // The terminal may be gone, and then there is nothing to give back.
        let _ = execute!(io::stderr(), LeaveAlternateScreen, cursor::Show);
        let _ = disable_raw_mode();
        let _ = io::stderr().flush();
    }
}

/// The terminal's settings before the screen was taken.
#[cfg(unix)]
static SETTINGS: std::sync::OnceLock<libc::termios> = std::sync::OnceLock::new();

#[cfg(unix)]
fn save_settings() {
    let mut settings = std::mem::MaybeUninit::<libc::termios>::zeroed();
    // SAFETY: `tcgetattr` fills the struct, or returns an error and it is not read.
    if unsafe { libc::tcgetattr(libc::STDERR_FILENO, settings.as_mut_ptr()) } == 0 {
        // SAFETY: it was filled.
        SETTINGS.get_or_init(|| unsafe { settings.assume_init() });
    }
}

#[cfg(not(unix))]
fn save_settings() {}

/// Gives the screen back from a signal handler, before the process ends.
#[cfg(unix)]
pub fn give_back_in_handler() {
    const LEAVE: &[u8] = b"\x1b[?1049l\x1b[?25h";
    if IS_TAKEN.swap(false, Ordering::SeqCst) {
        // SAFETY: `write` and `tcsetattr` may be called in signal handlers; the settings are initialised and not written.
        unsafe {
            libc::write(libc::STDERR_FILENO, LEAVE.as_ptr().cast(), LEAVE.len());
            if let Some(settings) = SETTINGS.get() {
                libc::tcsetattr(libc::STDERR_FILENO, libc::TCSANOW, settings);
            }
        }
    }
}

#[cfg(not(unix))]
pub fn give_back_in_handler() {
    give_back();
}
