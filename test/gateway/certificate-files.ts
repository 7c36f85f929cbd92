/** Certificates for tests, made by openssl: an authority of their own, and what it signs. */
import { execFile } from 'node:child_process'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const openssl = async (...words: string[]) => promisify(execFile)('openssl', words)

/** @returns the file of its certificate */
export async function makeAuthority(directory: string): Promise<string> {
  const [key, cert] = [join(directory, 'ca.key'), join(directory, 'ca.pem')]
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const self = ['-x509', '-days', '2', '-subj', '/CN=authority']
  await openssl('req', ...self, ...curve, '-keyout', key, '-out', cert)
  return cert
}

/** For 127.0.0.1 and localhost, signed by the authority of the directory; it takes the place of an older one. */
export async function makeCertificate(
  directory: string,
  name: string,
  days = 2,
): Promise<{ certFile: string; keyFile: string }> {
  const place = (file: string) => join(directory, file)
  const [certFile, keyFile] = [place('node.pem'), place('node.key')]
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const [draftKey, draftCert, request] = [place('d.key'), place('d.pem'), place('d.csr')]
  await openssl('req', '-subj', `/CN=${name}`, ...curve, '-keyout', draftKey, '-out', request)
  await writeFile(place('d.ext'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n')
  const signed = ['-CA', place('ca.pem'), '-CAkey', place('ca.key'), '-CAcreateserial']
  const kind = ['-extfile', place('d.ext'), '-days', `${days}`]
  await openssl('x509', '-req', '-in', request, ...signed, ...kind, '-out', draftCert)
  await rename(draftKey, keyFile)
  await rename(draftCert, certFile)
  return { certFile, keyFile }
}
