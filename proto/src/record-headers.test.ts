import { describe, expect, it } from 'vitest'
import { isTraceparent } from './record-headers.ts'

describe('record headers', () => {
  it('[D1] traceparent is that of W3C Trace Context, version 00', () => {
    const trace = '0af7651916cd43dd8448eb211c80319c'
    expect(isTraceparent(`00-${trace}-b7ad6b7169203331-01`)).toBe(true)
    const others: unknown[] = [
      `01-${trace}-b7ad6b7169203331-01`,
      `00-${trace.toUpperCase()}-b7ad6b7169203331-01`,
      `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
      `00-${trace}-${'0'.repeat(16)}-01`,
      `00-${trace}-b7ad6b7169203331-01-extra`,
      `00-${trace}-b7ad6b7169203331`,
      '',
      undefined,
    ]
    for (const other of others) expect(isTraceparent(other), String(other)).toBe(false)
  })
})
