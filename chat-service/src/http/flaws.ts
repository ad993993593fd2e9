import type { FastifySchemaValidationError } from 'fastify'
import { idPattern } from './schemas.ts'

/** The first flaw that validation found, in words that name the field. */
export function describeFlaw(found: readonly FastifySchemaValidationError[]): string {
  const flaw = found[0]
  if (flaw === undefined) return 'the request is not valid'
  const field = flaw.instancePath.slice(1).replaceAll('/', '.')
  if (flaw.keyword === 'required') {
    const missing = String(flaw.params.missingProperty)
    return `${field === '' ? missing : `${field}.${missing}`} is missing`
  }
  if (flaw.keyword === 'pattern' && flaw.params.pattern === idPattern) {
    return `${field} must be a UUID in lower case`
  }
  if (flaw.keyword === 'enum') {
    return `${field} must be one of ${(flaw.params.allowedValues as unknown[]).join(', ')}`
  }
  return `${field === '' ? 'the body' : field} ${flaw.message ?? 'is not valid'}`
}
