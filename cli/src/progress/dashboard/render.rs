//! Drawing of the dashboard, for terminals of 40 columns and more.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Clear, Dataset, Gauge, GraphType, LegendPosition, Paragraph, Wrap};
use train::memory::{Resident, human};

use crate::console::percent;
use crate::progress::curve::Curve;
use crate::progress::text;
use crate::progress::view::RunView;

/// The state stands beside the charts from this width on.
const WIDE: u16 = 120;
const STATE_WIDTH: u16 = 46;
const LABEL_WIDTH: u16 = 38;
/// Charts stand beside each other from this width on.
const CHARTS_ABREAST: u16 = 80;

/// A question to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    None,
    Quit,
}

/// Styles: of the 16 colours that all terminals have, or none.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    training: Style,
    validation: Style,
    label: Style,
    gauge: Style,
    warning: Style,
}

impl Theme {
    /// Colours, unless the variable `NO_COLOR` is set (no-color.org).
    pub fn of_terminal() -> Self {
        if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
            Self::plain()
        } else {
            Self::coloured()
        }
    }

    pub fn coloured() -> Self {
        let colour = |colour| Style::default().fg(colour);
        Self {
            training: colour(Color::Cyan),
            validation: colour(Color::Yellow),
            label: colour(Color::DarkGray),
            gauge: colour(Color::Cyan),
            warning: colour(Color::Yellow),
        }
    }

    pub fn plain() -> Self {
        let plain = Style::default();
        Self {
            training: plain,
            validation: plain.add_modifier(Modifier::BOLD),
            label: plain,
            gauge: plain.add_modifier(Modifier::REVERSED),
            warning: plain.add_modifier(Modifier::BOLD),
        }
    }
}

/// Draws the state of a training.
pub fn draw(frame: &mut Frame<'_>, view: &RunView, prompt: Prompt, theme: &Theme, resident: Option<Resident>) {
    let is_wide = frame.area().width >= WIDE;
    let notes = match frame.area().height {
        0..20 => 2,
        20..30 => 4,
        _ => 8,
    };
    let state_rows = if is_wide { 0 } else { 8 };
    let rows = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(2),
        Constraint::Fill(1),
        Constraint::Length(state_rows),
        Constraint::Length(notes + 1),
        Constraint::Length(1),
    ]);
    let [title, gauges, main, state, lines, footer] = rows.areas(frame.area());
    draw_title(frame, title, view, theme);
    draw_gauges(frame, gauges, view, theme);
    if is_wide {
        let [charts, side] =
            Layout::horizontal([Constraint::Fill(1), Constraint::Length(STATE_WIDTH)]).spacing(1).areas(main);
        draw_charts(frame, charts, view, theme);
        draw_state(frame, side, view, theme, resident);
    } else {
        draw_charts(frame, main, view, theme);
        draw_state(frame, state, view, theme, resident);
    }
    draw_lines(frame, lines, view, theme);
    let keys = if view.is_stopping { "finishing this step, then saving" } else { "q: save and quit" };
    frame.render_widget(Paragraph::new(Line::styled(keys, theme.label)), footer);
    if prompt == Prompt::Quit {
        draw_prompt(frame);
    }
}

/// The charts of loss and error: beside each other or below, or of the loss alone where there is no room.
fn draw_charts(frame: &mut Frame<'_>, area: Rect, view: &RunView, theme: &Theme) {
    let halves = [Constraint::Fill(1), Constraint::Fill(1)];
    let [first, second] = if area.width >= CHARTS_ABREAST {
        Layout::horizontal(halves).areas(area)
    } else if area.height >= 14 {
        Layout::vertical(halves).areas(area)
    } else {
        [area, Rect::ZERO]
    };
    draw_chart(frame, first, "loss", [&view.training_loss, &view.validation_loss], view, theme);
    draw_chart(frame, second, "top-1 error", [&view.training_error, &view.validation_error], view, theme);
}

fn draw_title(frame: &mut Frame<'_>, area: Rect, view: &RunView, theme: &Theme) {
    let state = match (view.is_stopping, view.validating) {
        (true, _) => "stopping".to_string(),
        (_, Some(done)) => format!("validating {done} of {}", view.validation_images),
        _ if view.last_step.is_none() => "starting".to_string(),
        _ => "training".to_string(),
    };
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(state.len() as u16)]).areas(area);
    let name = Span::styled(format!("alexnet  {}", view.network), Style::default().add_modifier(Modifier::BOLD));
    let folder = Span::styled(format!("  {}", view.folder.display()), theme.label);
    frame.render_widget(Paragraph::new(Line::from(vec![name, folder])), left);
    frame.render_widget(Paragraph::new(state), right);
}

fn draw_gauges(frame: &mut Frame<'_>, area: Rect, view: &RunView, theme: &Theme) {
    let [epoch, run] = Layout::vertical([Constraint::Length(1), Constraint::Length(1)]).areas(area);
    let first = (view.epoch_under_way() - 1) * view.steps_per_epoch;
    let length = view.steps_per_epoch.min(view.total.saturating_sub(first)).max(1);
    let done = view.step.saturating_sub(first).min(length);
    let left = |time: Option<Duration>| time.map_or(String::new(), |left| format!(", {} left", text::duration(left)));
    let label = format!("epoch {}/{}{}", view.epoch_under_way(), view.epochs(), left(view.epoch_time_left()));
    draw_gauge(frame, epoch, label, done as f64 / length as f64, theme);
    let label = format!("step {}/{}{}", view.step, view.total, left(view.time_left()));
    draw_gauge(frame, run, label, view.step as f64 / view.total.max(1) as f64, theme);
}

fn draw_gauge(frame: &mut Frame<'_>, area: Rect, label: String, ratio: f64, theme: &Theme) {
    let width = LABEL_WIDTH.max(area.width / 2).min(area.width.saturating_sub(10));
    let [bar, text] =
        Layout::horizontal([Constraint::Length(area.width - width), Constraint::Length(width)]).areas(area);
    let percent = format!("{:.0} %", (ratio * 100.0).min(100.0));
    frame.render_widget(Gauge::default().gauge_style(theme.gauge).ratio(ratio.clamp(0.0, 1.0)).label(percent), bar);
    frame.render_widget(Paragraph::new(format!(" {label}")), text);
}

/// A chart of training and validation over epochs, from 0 up.
fn draw_chart(frame: &mut Frame<'_>, area: Rect, title: &str, curves: [&Curve; 2], view: &RunView, theme: &Theme) {
    let [training, validation] = curves;
    let points = || training.points().iter().chain(validation.points());
    let right = points().map(|p| p.0).fold(1e-9, f64::max);
    let left = points().map(|p| p.0).fold(right, f64::min).min(right * 0.999);
    let top = points().map(|p| p.1).fold(1e-9, f64::max) * 1.05;
    let mut data = vec![
        Dataset::default()
            .name("training")
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(theme.training)
            .data(training.points()),
    ];
    if view.validates {
        data.push(
            Dataset::default()
                .name("validation")
                .marker(Marker::Dot)
                .graph_type(GraphType::Scatter)
                .style(theme.validation)
                .data(validation.points()),
        );
    }
    let x = Axis::default()
        .bounds([left, right])
        .labels([text::number(left.floor()), format!("epoch {}", text::number(right))]);
    let y = Axis::default().bounds([0.0, top]).labels(["0".to_string(), text::number(top / 2.0), text::number(top)]);
    let block = Block::bordered().border_style(theme.label).title(title.to_string());
    let chart = Chart::new(data)
        .block(block)
        .x_axis(x.style(theme.label))
        .y_axis(y.style(theme.label))
        .legend_position(Some(LegendPosition::TopRight))
        .hidden_legend_constraints((Constraint::Percentage(60), Constraint::Percentage(50)));
    frame.render_widget(chart, area);
}

fn draw_state(frame: &mut Frame<'_>, area: Rect, view: &RunView, theme: &Theme, resident: Option<Resident>) {
    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut row = |name: &str, value: String| rows.push([name.to_string(), value]);
    if let Some(line) = &view.last_step {
        row("loss", format!("{:.4}", line.loss));
        row("learning rate", text::number(line.rate));
        row("speed", format!("{} images/s", text::speed(line.images_per_s)));
        let step_s = view.pace.step_s().unwrap_or(0.0).max(1e-9);
        row("waits for images", percent((line.wait_s / step_s).min(1.0)));
    }
    match (&view.last_validation, &view.last_epoch) {
        (Some(line), _) => {
            let whose = line.last_weights.as_ref().map_or("", |_| ", of the average");
            row("validation error", format!("{}{whose}", text::error(line.top1_error)))
        }
        (None, Some(line)) => row("training error", text::error(line.train_top1_error)),
        _ => {}
    }
    if let Some((best, epoch)) = view.best {
        row("best", format!("{} after epoch {epoch}", percent(best)));
    }
    if let Some(resident) = resident {
        row("memory", format!("{}, at most {}", human(resident.now), human(resident.peak)));
    }
    if let Some((name, at)) = &view.saved {
        row("checkpoint", format!("{name}, {} ago", text::duration(at.elapsed())));
    }
    let lines: Vec<Line<'_>> = rows
        .into_iter()
        .map(|[name, value]| Line::from(vec![Span::styled(format!("{name:<17}"), theme.label), Span::raw(value)]))
        .collect();
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }), area);
}

/// The last lines: epochs and notes.
fn draw_lines(frame: &mut Frame<'_>, area: Rect, view: &RunView, theme: &Theme) {
    let block = Block::new().borders(ratatui::widgets::Borders::TOP).border_style(theme.label);
    let inner = block.inner(area);
    let mut lines: Vec<Line<'_>> = Vec::new();
    for text in view.lines.iter().rev().filter(|parts| !parts.is_empty()) {
        let style = if text[0].starts_with("note: ") { theme.warning } else { Style::default() };
        let wrapped = text::wrap(text, inner.width.into());
        lines.extend(wrapped.lines().rev().map(|line| Line::styled(line.to_string(), style)));
        if lines.len() >= inner.height as usize {
            break;
        }
    }
    lines.truncate(inner.height as usize);
    lines.reverse();
    frame.render_widget(block, area);
    frame.render_widget(Paragraph::new(lines), inner);
}

fn draw_prompt(frame: &mut Frame<'_>) {
    const TEXT: &str = "Finish this step, save and quit?  y / n";
    let area = frame.area();
    let width = (TEXT.len() as u16 + 4).min(area.width);
    let height = 3.min(area.height);
    let place = Rect::new((area.width - width) / 2, (area.height - height) / 2, width, height);
    frame.render_widget(Clear, place);
    let text = Paragraph::new(TEXT).alignment(Alignment::Center);
    frame.render_widget(text.block(Block::bordered()), place);
}

#[cfg(test)]
mod tests;
