//! The dashboard: the state of a training on the terminal's whole screen, drawn by a thread of its own.

mod render;

use std::io::{self, Stderr};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use render::{Prompt, Theme, draw};
use train::Stop;
use train::memory::Resident;

use super::view::RunView;
use super::{lock, screen};
use crate::console;

/// Time between two drawings, and between two looks at the keyboard.
const DRAW: Duration = Duration::from_millis(250);
const KEYS: Duration = Duration::from_millis(50);

/// A dashboard on the screen.
pub struct Dashboard {
    is_done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Dashboard {
    /// Takes the screen; `None` if the terminal does not give it.
    pub fn start(view: Arc<Mutex<RunView>>, stop: Stop) -> Option<Self> {
        give_back_in_panics();
        if screen::take().is_err() {
            screen::give_back();
            return None;
        }
        console::collect_notes();
        let is_done = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&is_done);
        let show = move || {
            if show(&view, &stop, &done).is_err() {
                // The terminal is gone or broken; the training is not.
                screen::give_back();
            }
        };
        let thread = thread::Builder::new().name("dashboard".into()).spawn(show).ok();
        if thread.is_none() {
            screen::give_back();
        }
        Some(Self { is_done, thread })
    }

    /// Gives the screen back.
    pub fn finish(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.is_done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        screen::give_back();
        console::print_collected_notes();
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.end();
    }
}

/// The message of a panic belongs on the ordinary screen.
fn give_back_in_panics() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        screen::give_back();
        report(info);
    }));
}

/// Draws and answers keys until the training is done.
fn show(view: &Mutex<RunView>, stop: &Stop, is_done: &AtomicBool) -> io::Result<()> {
    let mut terminal = Terminal::new(CrosstermBackend::new(io::stderr()))?;
    let theme = Theme::of_terminal();
    let mut prompt = Prompt::None;
    let mut drawn: Option<Instant> = None;
    while !is_done.load(Ordering::Relaxed) {
        if drawn.is_none_or(|drawn| drawn.elapsed() >= DRAW) {
            let mut view = lock(view);
            console::take_notes().into_iter().for_each(|note| view.line(vec![note]));
            view.is_stopping |= stop.is_requested();
            let resident = Resident::now();
            terminal.draw(|frame| draw(frame, &view, prompt, &theme, resident))?;
            drawn = Some(Instant::now());
        }
        if !event::poll(KEYS)? {
            continue;
        }
        match event::read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => answer(key, &mut prompt, stop, &mut terminal)?,
            Event::Resize(..) => terminal.autoresize()?,
            _ => continue,
        }
        drawn = None;
    }
    Ok(())
}

/// Answers a key.
fn answer(
    key: KeyEvent,
    prompt: &mut Prompt,
    stop: &Stop,
    terminal: &mut Terminal<CrosstermBackend<Stderr>>,
) -> io::Result<()> {
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    match (key.code, *prompt) {
        (KeyCode::Char('c'), _) if is_control => raise_interrupt(),
        (KeyCode::Char('z'), _) if is_control => suspend(terminal)?,
        (KeyCode::Char('q'), Prompt::None) if !stop.is_requested() => *prompt = Prompt::Quit,
        (KeyCode::Char('y') | KeyCode::Enter, Prompt::Quit) => {
            stop.request();
            *prompt = Prompt::None;
        }
        (_, Prompt::Quit) => *prompt = Prompt::None,
        _ => {}
    }
    Ok(())
}

/// Ctrl-C, which the terminal does not make a signal while the screen is taken.
#[cfg(unix)]
fn raise_interrupt() {
    // SAFETY: sends a signal to this process, whose handlers are safe.
    unsafe {
        libc::kill(libc::getpid(), libc::SIGINT);
    }
}

#[cfg(not(unix))]
fn raise_interrupt() {
    std::process::exit(130);
}

/// Ctrl-Z: stops the process until the shell continues it.
#[cfg(unix)]
fn suspend(terminal: &mut Terminal<CrosstermBackend<Stderr>>) -> io::Result<()> {
    screen::give_back();
    // SAFETY: stops this process; it goes on here after SIGCONT.
    unsafe {
        libc::kill(libc::getpid(), libc::SIGTSTP);
    }
    screen::take()?;
    terminal.clear()
}

#[cfg(not(unix))]
fn suspend(_: &mut Terminal<CrosstermBackend<Stderr>>) -> io::Result<()> {
    Ok(())
}
