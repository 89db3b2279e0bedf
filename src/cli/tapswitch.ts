#!/usr/bin/env node
/** What V8 must be told before its heap has anything to be collected; then the program (program.ts). */
import { keepCodeWhenIdle } from '../lib/heap.ts'

keepCodeWhenIdle()
await import('./program.ts')
