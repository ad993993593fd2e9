import { FirstSchema } from './first-schema.ts'

/**
 * In the order they run. A name stands in every database that the migration ran on, so it never changes, and neither
 * does a released migration.
 */
export const migrationsList = [{ name: '001-first-schema', class: FirstSchema }] as const
