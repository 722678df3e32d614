//! The page of `alexnet report`.

use serde_json::Value;

use crate::axe;
use crate::chromium::{Browser, View};
use crate::support::World;

/// A report on two runs with a drop of the learning rate; its address.
fn report(world: &World) -> String {
    for (out, rate) in [("slow", "0.001"), ("fast", "0.05")] {
        let lr = format!("optim.lr={rate}");
        let steps = ["--set", "optim.schedule=steps", "--set", "optim.drop_epochs=[2]", "--epochs", "4"];
        let run = ["train", "--data", "train.pack", "--val", "val.pack", "--model", "tiny.toml", "--set", &lr];
        world.ok(&[&run[..], &steps, &["--out", out]].concat());
    }
    world.ok(&["report", "slow", "fast"]);
    format!("file://{}", world.path("report.html").display())
}

#[test]
fn a_report_works_in_a_browser() {
    let Some(mut browser) = Browser::start() else { return };
    let world = World::packed();
    let address = report(&world);
    for view in View::all() {
        browser.open(&address, view);
        assert_eq!(browser.errors, Vec::<String>::new(), "{view:?}");
        // The page itself; images and the icon are in it.
        let loaded: Vec<&String> = browser.requests.iter().filter(|url| !url.starts_with("data:")).collect();
        assert_eq!(loaded, [&address], "{view:?}");
        check_charts(&mut browser);
        let widths = browser.evaluate("[document.documentElement.scrollWidth, innerWidth]");
        assert!(widths[0].as_u64() <= widths[1].as_u64(), "{view:?}: wider than the screen: {widths}");
        let ground = browser.evaluate("getComputedStyle(document.body).backgroundColor");
        assert_eq!(ground, if view.is_dark { "rgb(20, 23, 28)" } else { "rgb(255, 255, 255)" });
        axe::check(&mut browser);
    }
    check_controls(&mut browser);
    assert_eq!(browser.errors, Vec::<String>::new());
}

/// Each chart is drawn, and the loss has the points of its four lines.
fn check_charts(browser: &mut Browser) {
    let charts = browser.evaluate(
        "[...document.querySelectorAll('.plot')].map(plot => ({
            title: plot.querySelector('figcaption').textContent,
            size: plot.querySelector('.main-svg').getBoundingClientRect().width,
            lines: plot.querySelectorAll('.scatterlayer .js-line').length,
            points: plot.querySelectorAll('.scatterlayer .point').length,
            label: plot.querySelector('.chart').getAttribute('aria-label'),
            marks: [...plot.querySelectorAll('.annotation-text')].map(mark => mark.textContent),
        }))",
    );
    let charts = charts.as_array().unwrap();
    let of = |title: &str| charts.iter().find(|chart| chart["title"].as_str().unwrap().starts_with(title)).unwrap();
    let loss = of("Loss: training and validation");
    // Four epochs of three steps, and four validations, of two runs.
    assert_eq!((&loss["lines"], &loss["points"]), (&Value::from(4), &Value::from(2 * (12 + 4))), "{loss}");
    assert!(loss["size"].as_f64().unwrap() > 300.0, "{loss}");
    assert!(loss["label"].as_str().unwrap().contains("slow, training: from "), "{loss}");
    assert_eq!(loss["marks"], serde_json::json!(["rate 1e-4, 0.005"]), "{loss}");
    of("Learning rate");
    of("Speed of training");
    assert_eq!(of("Calibration of slow")["lines"], 2);
    assert!(of("Confusion matrix of fast")["size"].as_f64().unwrap() > 300.0);
}

/// Buttons and check boxes, by the elements that the keyboard reaches.
fn check_controls(browser: &mut Browser) {
    let scale = "document.querySelector('.chart')._fullLayout.yaxis.type";
    assert_eq!(browser.evaluate(scale), "linear");
    browser.evaluate("document.querySelector('button.log').click()");
    assert_eq!(browser.evaluate(scale), "log");
    assert_eq!(browser.evaluate("document.querySelector('button.log').getAttribute('aria-pressed')"), "true");
    browser.evaluate("document.querySelector('button.log').click()");
    assert_eq!(browser.evaluate(scale), "linear");

    let range = "document.querySelector('.chart')._fullLayout.xaxis.range";
    let whole = browser.evaluate(range);
    browser.evaluate("Plotly.relayout(document.querySelector('.chart'), { 'xaxis.range': [1, 2] }).then(() => 1)");
    assert_ne!(browser.evaluate(range), whole);
    browser.evaluate("document.querySelector('button.reset').click()");
    assert_eq!(browser.evaluate(range), whole);

    let lines = "document.querySelector('.plot').querySelectorAll('.scatterlayer .js-line').length";
    browser.evaluate("document.querySelector('#groups input').click()");
    assert_eq!(browser.evaluate(lines), 2);
    browser.evaluate("document.querySelector('#groups input').click()");
    assert_eq!(browser.evaluate(lines), 4);
    let reached = browser.evaluate(
        "[...document.querySelectorAll('a, button, input, summary, [tabindex]')].every(part => part.tabIndex >= 0)",
    );
    assert_eq!(reached, true);
}
