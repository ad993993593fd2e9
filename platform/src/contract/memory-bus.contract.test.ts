import { busContract } from './bus.ts'
import { createMemoryBusHarness } from './bus-memory-harness.ts'

busContract('memory', () => createMemoryBusHarness())
