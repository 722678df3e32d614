//! Requests that must be refused, and harm no other.

use std::io::Write;
use std::time::Duration;

use alexnet_serve::Options;

use crate::support::{FORM, TestServer, form, head, image_of, png, read_answer, wait_until};

/// Checks that a good request is answered as ever.
fn check_alive(server: &TestServer) {
    let answer = server.post("/v1/predict", "", &png(&image_of(1)));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn jpeg(side: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let pixels = vec![90; usize::from(side) * usize::from(side) * 3];
    let encoder = jpeg_encoder::Encoder::new(&mut bytes, 90);
    encoder.encode(&pixels, side, side, jpeg_encoder::ColorType::Rgb).unwrap();
    bytes
}

#[test]
fn uploads_that_are_no_images_are_refused() {
    let server = TestServer::new(Options::default());
    let whole = jpeg(40);
    assert_eq!(server.post("/v1/predict", "", &whole).status, 200);
    let damaged_png = {
        let mut bytes = png(&image_of(1));
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        bytes
    };
    let side = 60_000u32.to_le_bytes();
    let bmp = [&b"BM\xff\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0"[..], &side, &side, b"\x01\0\x18\0", &[0; 24]].concat();
    for (name, body, status, code) in [
        ("empty", &b""[..], 400, "empty"),
        ("text", b"hello", 415, "unsupported_format"),
        ("page", b"<!doctype html><script>alert(1)</script>", 415, "unsupported_format"),
        ("zip", b"PK\x03\x04\x14\x00\x00\x00\x08\x00", 415, "unsupported_format"),
        ("truncated JPEG", &whole[..whole.len() / 2], 422, "damaged_image"),
        ("damaged PNG", &damaged_png, 422, "damaged_image"),
        ("10 gigapixels", b"P6 100000 100000 255\n", 413, "too_many_pixels"),
        ("4 gigapixels", &bmp, 413, "too_many_pixels"),
        ("no pixels", b"P6 0 0 255\n", 422, "damaged_image"),
    ] {
        for path in ["/v1/predict", "/v1/explain"] {
            let answer = server.post(path, "", body);
            assert_eq!((answer.status, answer.code().as_str()), (status, code), "{name}: {}", answer.text());
            let answer = server.post(path, FORM, &form(&[(name, body)]));
            assert_eq!(answer.status, status, "{name} in a form: {}", answer.text());
            assert!(answer.text().contains(name), "{}", answer.text());
        }
        check_alive(&server);
    }
}

#[test]
fn an_image_as_thin_as_a_thread_has_an_answer() {
    let server = TestServer::new(Options::default());
    for header in ["P5 1 100000 255\n", "P5 100000 1 255\n"] {
        let body = [header.as_bytes(), &vec![100; 100_000]].concat();
        let answer = server.post("/v1/predict", "", &body);
        assert!(answer.status == 200 || answer.status == 422, "{}", answer.text());
        check_alive(&server);
    }
}

#[test]
fn forms_without_images_are_refused() {
    let server = TestServer::new(Options { images: 3, ..Options::default() });
    let image = png(&image_of(1));
    let good = form(&[("a.png", &image)]);
    let text = b"--edge\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nno file\r\n--edge--\r\n";
    for (headers, body) in [
        ("Content-Type: multipart/form-data\r\n", &good[..]),
        ("Content-Type: multipart/form-data; boundary=other\r\n", &good),
        ("Content-Type: multipart/\r\n", &good),
        (FORM, &good[..good.len() / 2]),
        (FORM, b""),
        (FORM, text),
        (FORM, b"\xff\x00--edge"),
    ] {
        let answer = server.post("/v1/predict", headers, body);
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_form"), "{headers}: {}", answer.text());
    }
    let one: (&str, &[u8]) = ("a.png", &image);
    assert_eq!(server.post("/v1/predict", FORM, &form(&[one; 3])).status, 200);
    let answer = server.post("/v1/predict", FORM, &form(&[one; 4]));
    assert_eq!((answer.status, answer.code().as_str()), (413, "too_many_images"));
    let mixed = server.post("/v1/predict", FORM, &form(&[one, ("bad.png", b"no image")]));
    assert_eq!((mixed.status, mixed.code().as_str()), (415, "unsupported_format"));
    assert!(mixed.text().contains("bad.png"), "{}", mixed.text());
    check_alive(&server);
}

#[test]
fn bodies_over_the_limit_are_refused() {
    let server = TestServer::new(Options { body: 2000, ..Options::default() });
    let answer = server.post("/v1/predict", "", &vec![0; 2001]);
    assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"));
    // Refused before it is sent.
    let answer = server.raw(head("POST", "/v1/predict", "", Some(1 << 40)).as_bytes());
    assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"));
    // Without a length, it is counted.
    let chunk = [b"400\r\n".as_slice(), &[0; 1024], b"\r\n"].concat();
    let request = head("POST", "/v1/predict", "Transfer-Encoding: chunked\r\n", None);
    let answer = server.raw(&[request.as_bytes(), &chunk, &chunk, &chunk, b"0\r\n\r\n"].concat());
    assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"));
    check_alive(&server);
}

#[test]
fn queries_and_methods_are_checked() {
    let server = TestServer::new(Options::default());
    let image = png(&image_of(1));
    for query in ["top=0", "top=-1", "top=five", "top=", "tpo=3", "top=3&top=4", "top=99999999999999999999999"] {
        let answer = server.post(&format!("/v1/predict?{query}"), "", &image);
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_query"), "{query}");
    }
    for (method, path) in [("GET", "/v1/predict"), ("DELETE", "/"), ("POST", "/metrics"), ("PUT", "/v1/explain")] {
        let answer = server.raw(head(method, path, "", Some(0)).as_bytes());
        assert_eq!((answer.status, answer.code().as_str()), (405, "wrong_method"), "{method} {path}");
    }
    check_alive(&server);
}

#[test]
fn no_path_leads_to_a_file() {
    let server = TestServer::new(Options::default());
    for path in [
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc/passwd",
        "//etc/passwd",
        "/style.css/../../Cargo.toml",
        "/Cargo.toml",
        "/assets/",
        "/v1",
        "/v1/",
        "/index.html%00",
        "/<script>alert(1)</script>",
    ] {
        let answer = server.get(path);
        assert!(answer.status == 404 || answer.status == 400, "{path}: {}", answer.status);
        let text = answer.text();
        assert!(!text.contains("root:") && !text.contains("[package]"), "{text}");
        assert_ne!(answer.header("content-type"), Some("text/html"), "{path}");
    }
    for garbage in [&b"\x00\x01\x02\r\n\r\n"[..], b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"] {
        assert_eq!(server.raw(garbage).status, 400);
    }
    check_alive(&server);
}

#[test]
fn pages_of_other_sites_are_refused() {
    let server = TestServer::new(Options::default());
    let rebound = server.raw(b"GET /v1/model HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert_eq!((rebound.status, rebound.code().as_str()), (421, "wrong_host"));
    let image = png(&image_of(1));
    let foreign = server.post("/v1/predict", "Origin: http://evil.example\r\n", &image);
    assert_eq!((foreign.status, foreign.code().as_str()), (403, "wrong_origin"));
    assert_eq!(server.post("/v1/predict", "Origin: http://localhost\r\n", &image).status, 200);
    for path in ["/", "/training", "/v1/model", "/nothing", "/metrics"] {
        let answer = server.get(path);
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert!(answer.header("access-control-allow-origin").is_none());
    }
}

#[test]
fn a_request_too_many_is_told_to_come_again() {
    let image = png(&image_of(1));
    let body = image.len().max(1000);
    let (first, rest) = image.split_at(image.len() - 1);
    for (options, sent, refused) in [
        (Options { requests: 1, ..Options::default() }, &first[..0], true),
        // Room in memory for one body: what has come counts, not what was announced.
        (Options { body, bodies: body, ..Options::default() }, first, true),
        (Options { body, bodies: body, ..Options::default() }, &first[..0], false),
    ] {
        let server = TestServer::new(options);
        let mut slow = server.connect();
        slow.write_all(head("POST", "/v1/predict", "", Some(image.len())).as_bytes()).unwrap();
        slow.write_all(sent).unwrap();
        wait_until("the slow request", || server.metric("alexnet_requests_in_process") == 1.0);
        wait_until("its bytes", || server.metric("alexnet_body_bytes") >= sent.len() as f64);
        let second = server.post("/v1/predict", "", &image);
        if refused {
            assert_eq!((second.status, second.code().as_str()), (503, "busy"));
            assert_eq!(second.header("retry-after"), Some("1"));
        } else {
            assert_eq!(second.status, 200, "{}", second.text());
        }
        slow.write_all(&[&first[sent.len()..], rest].concat()).unwrap();
        assert_eq!(read_answer(slow).status, 200);
        check_alive(&server);
    }
}

/// Clients that send slowly are not waited for until the time of a request is over.
#[test]
fn a_body_that_comes_too_slowly_is_not_waited_for() {
    let hour = Duration::from_secs(3600);
    let server = TestServer::new(Options { timeout: hour, grace: Duration::from_millis(50), ..Options::default() });
    let mut stream = server.connect();
    stream.write_all(head("POST", "/v1/predict", "", Some(100_000)).as_bytes()).unwrap();
    stream.write_all(&[0; 500]).unwrap();
    let answer = read_answer(stream);
    assert_eq!((answer.status, answer.code().as_str()), (408, "slow_body"));
    check_alive(&server);
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let server = TestServer::new(Options { timeout: Duration::from_millis(50), ..Options::default() });
    let mut stream = server.connect();
    stream.write_all(head("POST", "/v1/predict", "", Some(1000)).as_bytes()).unwrap();
    let answer = read_answer(stream);
    assert_eq!((answer.status, answer.code().as_str()), (408, "slow_body"));
}
