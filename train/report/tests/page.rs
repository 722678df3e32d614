//! Pages: their texts are escaped, and they load nothing.

use alexnet_report::{Bar, Card, Chart, Error, HeatMap, ImageData, Line, Mark, Page, Table};

const EVIL: &str = "</script><script>alert(1)</script>&\"'<b>";

/// A page with an evil name in every place that takes one.
fn page() -> Page {
    let mut page = Page::new(EVIL, EVIL);
    page.set_groups(vec![EVIL.into(), EVIL.into()]);
    let section = page.section(EVIL);
    section.heading(EVIL);
    section.text(EVIL);
    section.listing(EVIL, EVIL);
    section.details(EVIL, EVIL);
    let mut chart = Chart::new(EVIL, EVIL, EVIL);
    chart.lines.push(Line::new(EVIL, vec![(1.0, 2.0), (2.0, f64::NAN), (3.0, 1.0)]));
    chart.marks.push(Mark { x: 2.0, label: EVIL.into() });
    section.chart(chart);
    section.heat_map(HeatMap::of_rows(EVIL, &[EVIL, EVIL], &[vec![1, 2], vec![3, 4]]).unwrap());
    let row = || vec![EVIL.to_string(); 2];
    section.table(Table::new(EVIL, &[EVIL, EVIL], vec![row()]).unwrap());
    let image = ImageData::new(b"\x89PNG\r\n", EVIL).unwrap();
    section.image(image.clone(), EVIL);
    let bars = vec![Bar { name: EVIL.into(), probability: f64::NAN, is_right: true }];
    section.cards(EVIL, vec![Card { image, title: EVIL.into(), note: EVIL.into(), bars }]);
    page
}

/// The page before the script of the charts.
fn before_library(html: &str) -> &str {
    &html[..html.find("plotly.js v").expect("the script of the charts")]
}

#[test]
fn names_stay_text() {
    let html = page().to_html().unwrap();
    assert!(!html.contains("<script>alert"));
    let own = before_library(&html);
    assert!(!own.contains("alert(1)</script>") && !own.contains("<b>"));
    assert!(own.contains("&#60;script&#62;alert(1)&#60;/script&#62;"), "{own}");
    // Text in a chart is escaped twice: Plotly shows a part of HTML.
    assert!(own.contains("&lt;b&gt;") && own.contains("&amp;"), "{own}");
}

#[test]
fn a_page_loads_nothing() {
    let html = page().to_html().unwrap();
    assert!(html.contains("default-src 'none'"));
    let own = before_library(&html);
    for attribute in ["src=\"http", "href=\"http", "src=\"//", "url(", "@import"] {
        assert!(!own.contains(attribute), "{attribute}");
    }
    // One script of Plotly, without that for formulas.
    assert!(html.len() < 5_000_000 && !html.contains("MathJax.loader"), "{} bytes", html.len());
    let mut plain = Page::new("No charts", "");
    plain.section("One").text("Text.");
    assert!(plain.to_html().unwrap().len() < 20_000, "a page without charts has no script of them");
}

#[test]
fn what_does_not_fit_is_refused() {
    let error = Table::new("t", &["a", "b"], vec![vec!["1".into(), "2".into()], vec!["1".into()]]).unwrap_err();
    assert!(matches!(error, Error::Cells { row: 2, found: 1, expected: 2, .. }), "{error}");
    assert!(error.to_string().contains("row 2 has 1 cells, expected 2"), "{error}");
    let error = ImageData::new(b"GIF89a", "a cat").unwrap_err().to_string();
    assert!(error.contains("\"a cat\": neither PNG nor JPEG"), "{error}");
}

/// A table of a thousand classes scrolls within a part of the page.
#[test]
fn a_long_table_scrolls() {
    let html = |rows: usize| {
        let mut page = Page::new("Tables", "");
        let rows = (0..rows).map(|row| vec![row.to_string(), "x".into()]).collect();
        page.section("One").table(Table::new("classes", &["class", "images"], rows).unwrap());
        page.to_html().unwrap()
    };
    assert!(html(1000).contains("<div class=\"scroll tall\""));
    assert!(html(10).contains("<div class=\"scroll\""));
}
