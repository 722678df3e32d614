//! Charts as the script of the page takes them: JSON of Plotly, whose colours the page sets by its theme.

use plotly::common::{Anchor, ColorScale, ColorScaleElement, DashType, ExponentFormat, Mode, Orientation, Title};
use plotly::layout::{Annotation, Axis, AxisRange, AxisType, HoverMode, Legend, Margin, Shape, ShapeLine, ShapeType};
use plotly::{HeatMap as HeatTrace, Layout, Plot, Scatter, Trace};

use crate::chart::Chart;
use crate::heat_map::HeatMap;

/// Colours of lines: colour-blind readers can tell them apart, on white and on black.
const COLOURS: [&str; 7] = ["#2f86d1", "#e0702a", "#149a74", "#c66ba6", "#c08a00", "#4aaede", "#8a8f98"];
/// The colour of marks, on white and on black.
const MARK: &str = "#80868f";
/// Points that are marked on a line at most.
const MAX_MARKED: usize = 32;
/// A line of more points than these is thin: it is noisy, and others are behind it.
const MAX_BROAD: usize = 100;
/// Ticks of a logarithmic axis at most; the script has the same number.
const LOG_TICKS: usize = 5;

/// The script of Plotly as an element of a page.
pub fn library() -> String {
    // A second script, for formulas, follows it: there are none here.
    let scripts = Plot::offline_js_sources();
    match scripts.split_once("</script>") {
        Some((first, _)) => format!("{first}</script>"),
        None => scripts,
    }
}

/// Plotly shows some HTML: what stands for it in names must not.
fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// JSON that no text in it can end the element of.
fn json(plot: &Plot) -> String {
    plot.to_json().replace('<', "\\u003c")
}

fn margin() -> Margin {
    Margin::new().left(56).right(14).top(14).bottom(44)
}

/// A line chart.
pub fn chart(chart: &Chart) -> String {
    let mut plot = Plot::new();
    let groups = chart.lines.iter().map(|line| line.group + 1).max().unwrap_or(0);
    for (number, line) in chart.lines.iter().enumerate() {
        // Lines of one run differ in colour; those of several runs have the colour of the run.
        let colour = if groups > 1 { line.group } else { number };
        plot.add_trace(trace(line, COLOURS[colour % COLOURS.len()]));
    }
    let scale = if chart.is_logarithmic { AxisType::Log } else { AxisType::Linear };
    // More ticks than these get in each other's way on a logarithmic scale; 0 leaves their number to Plotly.
    let ticks = if chart.is_logarithmic { LOG_TICKS } else { 0 };
    // Of a linear scale, one of 0.5e+4 and 1e+4 would be harder to read than one of 5000 and 10000.
    let exponents = if chart.is_logarithmic { ExponentFormat::SmallE } else { ExponentFormat::None };
    let mut layout = Layout::new()
        .margin(margin())
        .hover_mode(HoverMode::XUnified)
        .show_legend(chart.lines.len() > 1)
        .legend(Legend::new().orientation(Orientation::Horizontal).x(0.0).y(1.02).y_anchor(Anchor::Bottom))
        .x_axis(axis(&chart.x_label))
        .y_axis(axis(&chart.y_label).type_(scale).n_ticks(ticks).exponent_format(exponents));
    for mark in chart.marks.iter().filter(|mark| mark.x.is_finite()) {
        layout.add_shape(
            Shape::new()
                .shape_type(ShapeType::Line)
                .x0(mark.x)
                .x1(mark.x)
                .y_ref("paper")
                .y0(0.0)
                .y1(1.0)
                .line(ShapeLine::new().color(MARK).width(1.0).dash(DashType::Dot)),
        );
        layout.add_annotation(
            Annotation::new()
                .x(mark.x)
                .y_ref("paper")
                .y(0.98)
                .text(plain(&mark.label))
                .text_angle(-90.0)
                .x_anchor(Anchor::Left)
                .y_anchor(Anchor::Top)
                .show_arrow(false),
        );
    }
    plot.set_layout(layout);
    json(&plot)
}

fn axis(label: &str) -> Axis {
    let title = Title::with_text(plain(label));
    Axis::new().title(title).zero_line(false).auto_margin(true).hover_format(".4~g")
}

fn trace(line: &crate::Line, colour: &'static str) -> Box<dyn Trace> {
    let finite = |value: f64| value.is_finite().then_some(value);
    let x = line.points.iter().map(|point| finite(point.0)).collect();
    let y = line.points.iter().map(|point| finite(point.1)).collect();
    let mode = if line.points.len() <= MAX_MARKED { Mode::LinesMarkers } else { Mode::Lines };
    let dash = if line.is_dashed { DashType::Dash } else { DashType::Solid };
    let width = if line.points.len() > MAX_BROAD { 1.2 } else { 2.4 };
    Scatter::<Option<f64>, Option<f64>>::new(x, y)
        .name(plain(&line.name))
        .mode(mode)
        // The check box of the group finds its lines by it.
        .legend_group(line.group.to_string())
        .line(plotly::common::Line::new().color(colour).width(width).dash(dash))
}

/// A heat map.
pub fn heat_map(map: &HeatMap) -> String {
    let names: Vec<String> = map.names.iter().map(|name| plain(name)).collect();
    // One colour over the ground of the page: the larger a share, the more of it, in dark and light.
    let shade = |share: f64, cover: f64| ColorScaleElement(share, format!("rgba(47,134,209,{cover})"));
    let colours = vec![shade(0.0, 0.04), shade(0.05, 0.25), shade(0.2, 0.5), shade(1.0, 1.0)];
    let trace = HeatTrace::new(names.clone(), names.clone(), map.percent.clone())
        .hover_template("%{y} taken for %{x}: %{z:.1f} % of the label<extra></extra>")
        .color_scale(ColorScale::Vector(colours))
        .zmin(0.0)
        .zmax(100.0)
        .show_scale(false);
    // Names that are numbers are no numbers.
    let classes = |title: &str| {
        Axis::new().title(Title::with_text(title)).type_(AxisType::Category).auto_margin(true).show_grid(false)
    };
    let last = names.len() as f64 - 0.5;
    let mut plot = Plot::new();
    plot.add_trace(trace);
    plot.set_layout(
        Layout::new()
            .margin(margin())
            .x_axis(classes("predicted").tick_angle(-45.0))
            .y_axis(classes("label").range(AxisRange::new(last, -0.5))),
    );
    json(&plot)
}
