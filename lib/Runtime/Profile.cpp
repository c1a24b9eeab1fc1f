//===- Profile.cpp - Where the time of runs goes --------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A probe's address tells the piece of work, so a mark is two stores and a look
// at the clock; all sums are made afterwards.
//
//===----------------------------------------------------------------------===//

#include "Profile.h"
#include "Clock.h"
#include "Model.h"

#include <cinttypes>
#include <cstdlib>
#include <cstring>

using namespace pquant;

//===----------------------------------------------------------------------===//
// Record
//===----------------------------------------------------------------------===//

Profile::Profile()
    : ProbeSink{[](ProbeSink *self, const PQuantProbe *probe, int64_t rows,
                   bool end) {
                  static_cast<Profile *>(self)->mark(probe, rows, end);
                },
                [](ProbeSink *self, const PQuantProbe *probe, int64_t rows,
                   int64_t begin, int64_t end) {
                  static_cast<Profile *>(self)->isOfDevice = true;
                  static_cast<Profile *>(self)->add(probe, rows, begin, end);
                }} {}

Profile::~Profile() {
  free(events);
  free(sections);
}

void Profile::attach(PQuantModel *model) { model->sink = this; }

void Profile::detach(PQuantModel *model) { model->sink = nullptr; }

void Profile::beginSection(const char *name) {
  void *grown = realloc(sections, (size_t(numSections) + 1) * sizeof(Section));
  if (!grown) {
    incomplete = true;
    return;
  }
  sections = static_cast<Section *>(grown);
  Section &section = sections[numSections++];
  snprintf(section.name, sizeof section.name, "%s", name);
  section.firstEvent = numEvents;
}

Profile::Event *Profile::append() {
  if (numEvents == capacity) {
    int wanted = capacity ? capacity * 2 : 4096;
    void *grown =
        wanted > 0 ? realloc(events, size_t(wanted) * sizeof(Event)) : nullptr;
    if (!grown) {
      incomplete = true;
      return nullptr;
    }
    events = static_cast<Event *>(grown);
    capacity = wanted;
  }
  Event *event = &events[numEvents++];
  event->section = numSections - 1;
  return event;
}

void Profile::mark(const PQuantProbe *probe, int64_t rows, bool end) {
  if (!end) {
    openedAt = nanoseconds();
    return;
  }
  add(probe, rows, openedAt, nanoseconds());
}

void Profile::add(const PQuantProbe *probe, int64_t rows, int64_t begin,
                  int64_t end) {
  Event *event = append();
  if (!event)
    return;
  event->probe = probe;
  event->rows = rows;
  event->begin = begin;
  event->end = end;
}

void Profile::addRun(const char *name, int64_t begin, int64_t end) {
  Event *event = append();
  if (!event)
    return;
  event->probe = nullptr;
  event->run = name;
  event->begin = begin;
  event->end = end;
}

//===----------------------------------------------------------------------===//
// Sums
//===----------------------------------------------------------------------===//

void Work::add(const Work &other) {
  calls += other.calls;
  nanoseconds += other.nanoseconds;
  weightBytes += other.weightBytes;
  rowBytes += other.rowBytes;
  ops += other.ops;
}

WorkTable::~WorkTable() {
  free(pieces);
  free(kinds);
}

static Work workOf(const PQuantProbe &probe, int64_t rows, int64_t duration) {
  Work work;
  work.probe = &probe;
  work.kind = probe.kind;
  work.calls = 1;
  work.nanoseconds = duration;
  int64_t matrices =
      probe.matrices > 1 && rows < probe.matrices ? rows : probe.matrices;
  work.weightBytes = double(probe.weightBytes) * double(matrices);
  work.rowBytes = double(probe.rowBytes) * double(rows);
  work.ops = double(probe.rowOps) * double(rows);
  return work;
}

static void sortWork(Work *work, int count) {
  qsort(work, size_t(count), sizeof(Work), [](const void *a, const void *b) {
    int64_t x = static_cast<const Work *>(a)->nanoseconds;
    int64_t y = static_cast<const Work *>(b)->nanoseconds;
    return (x < y) - (x > y);
  });
}

/// Adds to the entry of the same piece, or of the same kind, or makes one;
/// false when out of memory.
static bool addTo(Work *&list, int &count, const Work &work, bool byKind) {
  // Pieces follow each other in the same order in each layer.
  for (int i = 0; i < count; ++i) {
    if (byKind ? strcmp(list[i].kind, work.kind) != 0
               : list[i].probe != work.probe)
      continue;
    list[i].add(work);
    return true;
  }
  void *grown = realloc(list, (size_t(count) + 1) * sizeof(Work));
  if (!grown)
    return false;
  list = static_cast<Work *>(grown);
  list[count] = work;
  if (byKind)
    list[count].probe = nullptr;
  ++count;
  return true;
}

bool Profile::summarize(WorkTable &table) const {
  int first = numSections ? sections[numSections - 1].firstEvent : 0;
  for (int i = first; i < numEvents; ++i) {
    const Event &event = events[i];
    if (!event.probe) {
      ++table.runs;
      table.nanoseconds += event.end - event.begin;
      continue;
    }
    Work work = workOf(*event.probe, event.rows, event.end - event.begin);
    if (!addTo(table.pieces, table.numPieces, work, /*byKind=*/false))
      return false;
    table.total.add(work);
  }
  for (int i = 0; i < table.numPieces; ++i)
    if (!addTo(table.kinds, table.numKinds, table.pieces[i], /*byKind=*/true))
      return false;
  if (isOfDevice)
    table.nanoseconds = table.total.nanoseconds;
  sortWork(table.pieces, table.numPieces);
  sortWork(table.kinds, table.numKinds);
  return true;
}

//===----------------------------------------------------------------------===//
// Trace
//===----------------------------------------------------------------------===//

void Profile::writeEvent(OutputText &out, const Event &event,
                         int64_t origin) const {
  out.print(",\n{\"ph\":\"X\",\"pid\":1,\"tid\":%d,\"ts\":%.3f,\"dur\":%.3f,"
            "\"cat\":",
            event.section + 1, double(event.begin - origin) * 1e-3,
            double(event.end - event.begin) * 1e-3);
  if (!event.probe) {
    out.print("\"run\",\"name\":");
    out.printString(event.run);
    out.print("}");
    return;
  }
  Work work = workOf(*event.probe, event.rows, event.end - event.begin);
  out.printString(work.kind);
  out.print(",\"name\":");
  out.printString(*event.probe->name ? event.probe->name : work.kind);
  out.print(",\"args\":{\"rows\":%" PRId64
            ",\"weight_bytes\":%.0f,\"row_bytes\":%.0f,\"ops\":%.0f}}",
            event.rows, work.weightBytes, work.rowBytes, work.ops);
}

bool Profile::writeTrace(OutputText &out, Text &error) const {
  out.print("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n{\"ph\":\"M\","
            "\"pid\":1,\"name\":\"process_name\",\"args\":{\"name\":"
            "\"pquant\"}}");
  for (int i = 0; i < numSections; ++i) {
    out.print(",\n{\"ph\":\"M\",\"pid\":1,\"tid\":%d,\"name\":\"thread_name\","
              "\"args\":{\"name\":",
              i + 1);
    out.printString(sections[i].name);
    out.print("}}");
  }
  int64_t origin = INT64_MAX;
  for (int i = 0; i < numEvents; ++i)
    if (events[i].begin < origin)
      origin = events[i].begin;
  for (int i = 0; i < numEvents; ++i)
    writeEvent(out, events[i], origin);
  out.print("\n]}\n");
  return out.keep(error);
}

//===----------------------------------------------------------------------===//
// Tables
//===----------------------------------------------------------------------===//

/// Columns that all tables of work share; `share` is of the runs' time.
static void printLine(const char *kind, const char *name, const Work &work,
                      const WorkTable &table, double roof) {
  double seconds = double(work.nanoseconds) * 1e-9;
  double all = table.nanoseconds ? double(table.nanoseconds) : 1;
  printf("  %-14s %8.1f %9.3f %5.1f%%", kind,
         double(work.calls) / double(table.runs ? table.runs : 1),
         seconds * 1e3 / double(table.runs ? table.runs : 1),
         100 * double(work.nanoseconds) / all);
  if (work.bytes() > 0 && seconds > 0) {
    double rate = work.bytes() / seconds;
    printf(" %8.3f %7.2f", work.bytes() / double(table.runs) * 1e-6,
           rate * 1e-9);
    if (roof > 0)
      printf(" %6.1f%%", 100 * rate / roof);
    else
      printf(" %7s", "-");
  } else {
    printf(" %8s %7s %7s", "-", "-", "-");
  }
  if (work.ops > 0 && seconds > 0)
    printf(" %8.1f", work.ops / seconds * 1e-9);
  else
    printf(" %8s", "-");
  printf("  %s\n", name);
}

void pquant::printWork(const WorkTable &table, double readRoof) {
  constexpr int kMostPieces = 24;
  printf("  %-14s %8s %9s %6s %8s %7s %7s %8s\n", "kind", "calls", "ms", "time",
         "MB", "GB/s", "of roof", "Gop/s");
  for (int i = 0; i < table.numKinds; ++i)
    printLine(table.kinds[i].kind, "", table.kinds[i], table, readRoof);
  for (int i = 0; i < table.numKinds; ++i) {
    Work alone = table.kinds[i];
    if (alone.aloneSeconds <= 0)
      continue;
    alone.nanoseconds = int64_t(alone.aloneSeconds * double(table.runs) * 1e9);
    char name[32];
    snprintf(name, sizeof name, "%s*", alone.kind);
    printLine(name, "", alone, table, readRoof);
  }
  Work rest;
  rest.nanoseconds = table.nanoseconds - table.total.nanoseconds;
  rest.calls = table.runs;
  if (rest.nanoseconds > 0)
    printLine("(between)", "", rest, table, readRoof);
  printf("  %-14s %8s %9s %6s %8s %7s %7s %8s  %s\n", "kind", "calls", "ms",
         "time", "MB", "GB/s", "of roof", "Gop/s", "node");
  for (int i = 0; i < table.numPieces && i < kMostPieces; ++i)
    printLine(table.pieces[i].kind, table.pieces[i].probe->name,
              table.pieces[i], table, readRoof);
  if (table.numPieces <= kMostPieces)
    return;
  Work others;
  for (int i = kMostPieces; i < table.numPieces; ++i)
    others.add(table.pieces[i]);
  Text text;
  text.append("%d more", table.numPieces - kMostPieces);
  printLine("...", text.data, others, table, readRoof);
}

void pquant::writeWork(OutputText &out, const WorkTable &table,
                       double readRoof) {
  double runs = double(table.runs ? table.runs : 1);
  out.print("[");
  for (int i = 0; i < table.numPieces; ++i) {
    const Work &work = table.pieces[i];
    double seconds = double(work.nanoseconds) * 1e-9;
    out.print("%s\n{\"name\":", i ? "," : "");
    out.printString(work.probe->name);
    out.print(",\"kind\":");
    out.printString(work.kind);
    out.print(",\"calls\":%.9g,\"seconds\":%.9g,\"weight_bytes\":%.9g,"
              "\"row_bytes\":%.9g,\"ops\":%.9g",
              double(work.calls) / runs, seconds / runs,
              work.weightBytes / runs, work.rowBytes / runs, work.ops / runs);
    if (work.bytes() > 0 && seconds > 0 && readRoof > 0)
      out.print(",\"of_read_roof\":%.4g", work.bytes() / seconds / readRoof);
    out.print("}");
  }
  out.print("]");
}
