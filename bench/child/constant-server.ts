import { createServer } from 'node:http'

// The yardstick: the least that node:http can do. Answers everything with a constant of the given size (text, or with `--bytes` from one buffer),
// and prints its port.
const text = 'x'.repeat(Number(process.argv[2]))
const body = process.argv[3] === '--bytes' ? Buffer.from(text) : text
const server = createServer((request, response) => {
  request.resume()
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': body.length })
  response.end(body)
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  console.log(JSON.stringify({ port: typeof address === 'object' ? address?.port : undefined }))
})
