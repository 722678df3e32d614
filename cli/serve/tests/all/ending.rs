//! The end of a server.

use std::io::{Read, Write};
use std::net::TcpStream;

use alexnet_serve::{Options, Server};

use crate::support::{TestServer, head, image_of, png, read_answer, wait_until};

#[test]
fn requests_that_have_begun_are_finished() {
    let mut server = TestServer::new(Options::default());
    let image = png(&image_of(1));
    let mut begun = server.connect();
    begun.write_all(head("POST", "/v1/predict", "", Some(image.len())).as_bytes()).unwrap();
    begun.write_all(&image[..image.len() / 2]).unwrap();
    wait_until("the request", || server.metric("alexnet_requests_in_process") == 1.0);
    let mut idle = server.connect();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    server.stop.request();
    wait_until("the end of listening", || TcpStream::connect(server.address).is_err());
    // An idle connection is closed, a request is not.
    idle.read_to_end(&mut Vec::new()).unwrap();
    begun.write_all(&image[image.len() / 2..]).unwrap();
    let answer = read_answer(begun);
    assert_eq!(answer.status, 200, "{}", answer.text());
    server.join();
}

#[test]
fn a_taken_port_is_an_error() {
    let first = Server::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let error = Server::bind(first.address()).unwrap_err();
    assert!(error.is_address_in_use(), "{error}");
    assert!(error.to_string().contains(&first.address().to_string()), "{error}");
    let elsewhere = Server::bind(([192, 0, 2, 1], 0).into()).unwrap_err();
    assert!(!elsewhere.is_address_in_use(), "{elsewhere}");
}
