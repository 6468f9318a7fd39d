// Says that it ran.
package main

func main() { println("ran") }
