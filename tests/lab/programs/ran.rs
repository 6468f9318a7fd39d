//! Has run: a static program of Rust, as many images hold nothing else.

fn main() {
    println!("ran");
}
