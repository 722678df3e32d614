use std::path::Path;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use train::log::{StepLine, ValidationLine};

use super::*;

fn view() -> RunView {
    let mut view = RunView::new("paper", Path::new("runs/paper-1"), 900, 100, [1000, 409, 128]);
    view.begin();
    for step in 1..=450 {
        let loss = 6.9 * (-(step as f64) / 300.0).exp() + 0.2;
        view.step(&StepLine {
            step,
            epoch: 1 + (step - 1) / 100,
            loss,
            top1_error: (loss / 7.0).min(1.0),
            rate: 0.01,
            images_per_s: 84.2,
            wait_s: 0.0,
            seconds: step as f64,
            time: "2026-01-01T00:00:00Z".into(),
        });
        if step % 100 == 0 {
            view.validated(&ValidationLine {
                step,
                epoch: step / 100,
                train_loss: loss,
                train_top1_error: 0.5,
                loss: loss + 0.3,
                top1_error: (loss / 7.0).min(1.0),
                top5_error: 0.1,
                last_weights: None,
                seconds: step as f64,
                time: "2026-01-01T00:00:00Z".into(),
            });
            view.line(vec![format!("epoch {}/9: loss {loss:.4}, top-1 error 50.0 % (accuracy 50.0 %)", step / 100)]);
        }
    }
    view.saved(Path::new("runs/paper-1/checkpoints/step-000000400.h5"));
    view.line(vec!["note: the network waits for images 43 % of the time; 80 % of it goes to decoding".into()]);
    view
}

fn drawn(view: &RunView, columns: u16, rows: u16, prompt: Prompt, theme: &Theme) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    let resident = Some(Resident { now: 1 << 30, peak: 3 << 29 });
    terminal.draw(|frame| draw(frame, view, prompt, theme, resident)).unwrap();
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    let width = buffer.area.width as usize;
    let rows = buffer.content.chunks(width);
    rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_string() + "\n").collect()
}

#[test]
fn everything_is_shown_at_any_width() {
    let view = view();
    for (columns, rows) in [(60, 24), (60, 40), (80, 24), (100, 30), (160, 40), (200, 50)] {
        let screen = text(&drawn(&view, columns, rows, Prompt::None, &Theme::coloured()));
        let parts = [
            "alexnet  paper",
            "training",
            "epoch 5/9",
            "step 450/900",
            "loss",
            "learning rate    0.01",
            "84.2 images/s",
            "waits for images",
            "validation error",
            "best",
            "memory           1.0 GiB, at most 1.5 GiB",
            "step-000000400.h5",
            "the network waits for images 43 %",
            "q: save and quit",
        ];
        for part in parts {
            assert!(screen.contains(part), "{columns} x {rows}: no {part:?} in\n{screen}");
        }
        // The chart of the error needs room.
        assert_eq!(screen.contains("┌top-1 error"), columns >= 80 || rows >= 40, "{screen}");
        if std::env::var_os("SHOW").is_some() {
            println!("{columns} x {rows}\n{screen}");
        }
    }
}

#[test]
fn no_size_of_the_terminal_is_too_small_to_draw() {
    let view = view();
    for columns in [1, 2, 7, 20, 39, 60] {
        for rows in [1, 2, 3, 5, 9, 15] {
            drawn(&view, columns, rows, Prompt::Quit, &Theme::plain());
        }
    }
    let empty = RunView::new("paper", Path::new("run"), 9, 3, [10, 0, 4]);
    drawn(&empty, 80, 24, Prompt::None, &Theme::coloured());
}

#[test]
fn colours_are_left_out_on_request() {
    let view = view();
    let colours = |theme: &Theme| {
        let buffer = drawn(&view, 100, 30, Prompt::None, theme);
        buffer.content.iter().filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
    };
    assert_eq!(colours(&Theme::plain()), 0);
    assert!(colours(&Theme::coloured()) > 100);
}

#[test]
fn quitting_is_asked_for_and_said() {
    let mut view = view();
    assert!(text(&drawn(&view, 60, 24, Prompt::Quit, &Theme::plain())).contains("save and quit?  y / n"));
    view.is_stopping = true;
    assert!(text(&drawn(&view, 60, 24, Prompt::None, &Theme::plain())).contains("finishing this step, then saving"));
}
