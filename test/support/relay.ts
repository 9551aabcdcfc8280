/** A way to a server that can be cut, go silent, or lead elsewhere. It listens on the loopback interface. */
import { createConnection, createServer, type Socket } from 'node:net'

export class Relay {
  // Half-open sockets, since a peer that is gone does not answer a goodbye either.
  readonly #server = createServer({ allowHalfOpen: true }, socket => this.#connect(socket))
  readonly #sockets = new Set<Socket>()
  readonly #silent = new WeakSet<Socket>()
  #target: URL
  /** What is done with what the client sends, before it is passed on; false keeps it. */
  onRequest: (data: Buffer) => boolean = () => true
  /** Called before each piece of an answer is passed on; returns what to pass on instead. */
  onAnswer: (data: Buffer) => Buffer | undefined = () => undefined
  /** Time that each piece takes on its way, in ms. */
  delay = 0
  /** Whether answers are passed on. */
  isAnswering = true
  /** Whether new connections are silent from the start. */
  isSilentToNew = false
  /** Number of connections so far. */
  connections = 0

  constructor(url = process.env.TEST_PG_URL as string) {
    this.#target = new URL(url)
  }

  /** Resolves with the server's URL, through the relay. */
  async listen(): Promise<string> {
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve))
    const target = new URL(this.#target)
    target.port = String((this.#server.address() as { port: number }).port)
    target.hostname = '127.0.0.1'
    return target.href
  }

  #connect(socket: Socket): void {
    this.connections++
    const { port, hostname } = this.#target
    const upstream = createConnection({ port: Number(port), host: hostname, allowHalfOpen: true })
    if (this.isSilentToNew) this.#silent.add(socket)
    const isSilent = () => this.#silent.has(socket)
    for (const [one, other] of [
      [socket, upstream],
      [upstream, socket]
    ] as const) {
      this.#sockets.add(one)
      one.on('error', () => undefined)
      one.on('end', () => {
        if (isSilent()) return
        one.end()
        other.end()
      })
      one.on('close', () => {
        this.#sockets.delete(one)
        if (!isSilent()) other.destroy()
      })
    }
    socket.on('data', data => {
      if (!isSilent() && this.onRequest(data)) this.#pass(upstream, data)
    })
    upstream.on('data', data => {
      if (isSilent() || !this.isAnswering) return
      this.#pass(socket, this.onAnswer(data) ?? data)
    })
  }

  #pass(socket: Socket, data: Buffer): void {
    if (this.delay === 0) socket.write(data)
    else setTimeout(() => socket.write(data), this.delay / 2)
  }

  /** Leads new connections to another server; those that are open stay where they are. */
  moveTo(url: string): void {
    this.#target = new URL(url)
  }

  /** Drops each byte of the connections that are open, both ways and without a word. */
  silence(): void {
    for (const socket of this.#sockets) this.#silent.add(socket)
  }

  /** Closes all connections, so that both sides notice. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#sockets.clear()
  }

  close(): void {
    this.cut()
    this.#server.close()
  }
}
