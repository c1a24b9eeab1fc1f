//===- Profile.h - Where the time of runs goes ------------------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Collects the probes of generated code (pquant_rt_probe) while a model is
// attached, as seen by the thread that runs it. A profile is divided into
// sections, one for each thing that is measured; in the trace a section is a
// track of its own.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_LIB_RUNTIME_PROFILE_H
#define PQUANT_LIB_RUNTIME_PROFILE_H

#include "OutputText.h"
#include "Run.h"

namespace pquant {

/// What all calls of one piece of work, or of several, took.
struct Work {
  const PQuantProbe *probe = nullptr; ///< null: of several, see kind
  const char *kind = "";
  int64_t calls = 0, nanoseconds = 0;
  double weightBytes = 0; ///< a call's weights, each as often as it reads them
  double rowBytes = 0;
  double ops = 0;
  /// Of a kind on a GPU: seconds of a run of its kernels alone, one after the
  /// other. 0: not measured.
  double aloneSeconds = 0;

  double bytes() const { return weightBytes + rowBytes; }
  void add(const Work &other);
};

/// Work by piece and by kind, each with the longest time first.
struct WorkTable {
  WorkTable() = default;
  WorkTable(const WorkTable &) = delete;
  ~WorkTable();

  Work *pieces = nullptr, *kinds = nullptr;
  int numPieces = 0, numKinds = 0;
  Work total;              ///< of all pieces
  int64_t runs = 0;        ///< calls of an entry point
  int64_t nanoseconds = 0; ///< of those runs; of `total` on a GPU, where a
                           ///< run that is watched waits for its kernels
};

class Profile : public ProbeSink {
public:
  Profile();
  Profile(const Profile &) = delete;
  ~Profile();

  /// Begins a section; `name` is copied.
  void beginSection(const char *name);
  /// Counts `model`'s runs until detach.
  void attach(PQuantModel *model);
  void detach(PQuantModel *model);
  /// A run of an entry point called `name`, which must outlive the profile.
  void addRun(const char *name, int64_t begin, int64_t end);

  /// Adds up the last section; false when out of memory.
  bool summarize(WorkTable &table) const;
  /// Ends a file with all events in Chrome's trace format, which Perfetto
  /// reads; false with an error.
  bool writeTrace(OutputText &out, Text &error) const;
  /// Something was not recorded, for want of memory.
  bool isIncomplete() const { return incomplete; }

private:
  struct Event {
    const PQuantProbe *probe; ///< null: a run
    const char *run;
    int64_t rows, begin, end;
    int section;
  };
  struct Section {
    char name[64];
    int firstEvent;
  };

  void mark(const PQuantProbe *probe, int64_t rows, bool end);
  void add(const PQuantProbe *probe, int64_t rows, int64_t begin, int64_t end);
  Event *append();
  void writeEvent(OutputText &out, const Event &event, int64_t origin) const;

  Event *events = nullptr;
  Section *sections = nullptr;
  int numEvents = 0, capacity = 0, numSections = 0;
  int64_t openedAt = 0;
  bool incomplete = false;
  bool isOfDevice = false; ///< the work is a GPU's
};

/// Prints a section's work: by kind, and the longest pieces. `readRoof` is in
/// bytes a second, 0 when it is not known.
void printWork(const WorkTable &table, double readRoof);

/// Writes the pieces as a JSON array.
void writeWork(OutputText &out, const WorkTable &table, double readRoof);

} // namespace pquant

#endif // PQUANT_LIB_RUNTIME_PROFILE_H
