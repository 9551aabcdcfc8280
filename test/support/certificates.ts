/** Certificates for TLS, made with the command `openssl`, in a directory that the servers' user can read. */
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ownDirectory, ownerOfServers } from '../../src/tools/servers/private-server.ts'

/** A certificate and its private key, as paths. */
export interface Certificate {
  readonly certificate: string
  readonly key: string
}

const ELLIPTIC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/** The names by which tests reach a server on this machine. */
export const LOCAL = 'DNS:localhost,IP:127.0.0.1'

/** Makes certificates, and other files for servers. */
export class Workshop {
  readonly #owner = ownerOfServers()
  readonly directory = ownDirectory('certificates', this.#owner)

  /** Writes a file that the servers' user can read; returns its path. */
  write(name: string, text: string): string {
    const path = join(this.directory, name)
    writeFileSync(path, text)
    return path
  }

  /** A certificate that is signed with its own key: an authority, or a server's without one. */
  selfSigned(name: string, subject: string, names?: string): Certificate {
    const made = this.#paths(name)
    const extension = names === undefined ? [] : ['-addext', `subjectAltName=${names}`]
    const output = ['-keyout', made.key, '-out', made.certificate]
    this.#openssl('req', '-x509', ...ELLIPTIC, ...output, '-days', '30', '-subj', `/CN=${subject}`, ...extension)
    return this.#handOver(made)
  }

  /** A server's certificate that an authority has signed; with days below zero it has expired. */
  signed(name: string, authority: Certificate, names: string, days = 30): Certificate {
    const made = this.#paths(name)
    const request = join(this.directory, `${name}.csr`)
    const extensions = this.write(`${name}.ext`, `subjectAltName=${names}\n`)
    this.#openssl('req', ...ELLIPTIC, '-keyout', made.key, '-out', request, '-subj', `/CN=${name}`)
    const signer = ['-CA', authority.certificate, '-CAkey', authority.key, '-CAcreateserial']
    this.#openssl('x509', '-req', '-in', request, ...signer, '-days', String(days), '-extfile', extensions, '-out', made.certificate)
    return this.#handOver(made)
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true })
  }

  #paths(name: string): Certificate {
    return { certificate: join(this.directory, `${name}.crt`), key: join(this.directory, `${name}.key`) }
  }

  #openssl(...parameters: string[]): void {
    execFileSync('openssl', parameters, { cwd: this.directory, stdio: ['ignore', 'ignore', 'pipe'] })
  }

  /** Postgres takes a key only when nobody but its own user can read it. */
  #handOver(made: Certificate): Certificate {
    chmodSync(made.key, 0o600)
    if (this.#owner) chownSync(made.key, this.#owner.uid, this.#owner.gid)
    return made
  }
}

/** The text of a certificate. */
export function pemOf({ certificate }: Certificate): string {
  return readFileSync(certificate, 'utf8')
}

/** The settings with which a server of Postgres shows the certificate. */
export function serverSettings({ certificate, key }: Certificate): string[] {
  return ['ssl=on', `ssl_cert_file=${certificate}`, `ssl_key_file=${key}`]
}
